//! The handlers of the route table, one file per resource, and the groups of parts that they use.

pub mod accounts;
pub mod devices;
pub mod feedback;
pub mod files;
pub mod grants;
pub mod groups;
pub mod identity;
pub mod manifests;
pub mod meta;
pub mod search;
pub mod signatures;
pub mod swarm;

use std::sync::Arc;

use peernet_engine::time::UnixMillis;

use crate::domain::access::AccessControl;
use crate::domain::accounts::Accounts;
use crate::domain::authority::Authority;
use crate::domain::database::Database;
use crate::domain::economy;
use crate::domain::keys::Keys;
use crate::domain::swarm::{Swarm, dialback};
use crate::ops::metrics::Metrics;
use crate::ops::readiness::Readiness;
use crate::replication::LeaseLog;
use files::PlanCache;
use peernet_door::DoorStats;

/// The time now; fixed in tests.
pub type Clock = fn() -> UnixMillis;

/// The parts that handlers use, one group per subject. A route passes its handler one group.
pub struct Handlers {
    /// Accounts, devices, and certificates.
    pub accounts: AccountCalls,
    /// Access policies, groups of accounts, and grants.
    pub access: AccessCalls,
    /// Reports about sources.
    pub feedback: FeedbackCalls,
    /// Plans, search, and version 1's announce and lookup.
    pub files: FileCalls,
    /// Manifests and their signatures.
    pub manifests: ManifestCalls,
    /// Announces and departures.
    pub swarm: SwarmCalls,
    /// The tracker itself: health, keys, statistics, metrics.
    pub meta: MetaCalls,
}

/// The parts that the calls about accounts use.
pub struct AccountCalls {
    /// Operations on accounts.
    pub accounts: Arc<Accounts>,
    /// The certificates to trust.
    pub authority: Arc<Authority>,
    /// Balances of accounts.
    pub database: Arc<Database>,
    /// The number of files that an account announces.
    pub swarm: Arc<Swarm>,
    /// The time now.
    pub clock: Clock,
}

/// The parts that the calls about access use.
pub struct AccessCalls {
    /// The policies.
    pub access: Arc<AccessControl>,
    /// Whether a file is announced.
    pub swarm: Arc<Swarm>,
    /// Signs grants.
    pub keys: Arc<Keys>,
    /// The most policies of one account.
    pub files_per_account: usize,
    /// The time now.
    pub clock: Clock,
}

/// The parts that the calls about feedback use.
pub struct FeedbackCalls {
    /// Whether a target exists.
    pub accounts: Arc<Accounts>,
    /// The chunks that a target holds.
    pub swarm: Arc<Swarm>,
    /// Settles reports.
    pub reputation: economy::Handle,
    /// The time now.
    pub clock: Clock,
}

/// The parts that the calls about files use.
pub struct FileCalls {
    /// The index.
    pub swarm: Arc<Swarm>,
    /// Visibility of files.
    pub access: Arc<AccessControl>,
    /// Suspended accounts, which no plan names.
    pub accounts: Arc<Accounts>,
    /// Manifests, files by name, and listings.
    pub database: Arc<Database>,
    /// The lease log.
    pub lease_log: Arc<LeaseLog>,
    /// Reputations and tickets.
    pub reputation: economy::Handle,
    /// Dials version 1 peers.
    pub dialback: dialback::Handle,
    /// Prepared plans.
    pub plans: PlanCache,
    /// The time now.
    pub clock: Clock,
}

/// The parts that the calls about manifests use.
pub struct ManifestCalls {
    /// The cache of manifests.
    pub swarm: Arc<Swarm>,
    /// Visibility of files.
    pub access: Arc<AccessControl>,
    /// Manifests and signatures.
    pub database: Arc<Database>,
    /// The quota of one account; 0 means no limit.
    pub metadata_bytes_per_account: u64,
    /// The time now.
    pub clock: Clock,
}

/// The parts that announces and departures use.
pub struct SwarmCalls {
    /// The index.
    pub swarm: Arc<Swarm>,
    /// Visibility of files.
    pub access: Arc<AccessControl>,
    /// Manifests and listings.
    pub database: Arc<Database>,
    /// The lease log.
    pub lease_log: Arc<LeaseLog>,
    /// Tiers of accounts.
    pub reputation: economy::Handle,
    /// The time now.
    pub clock: Clock,
}

/// The parts that the calls about the tracker itself use.
pub struct MetaCalls {
    /// Whether the tracker is ready.
    pub readiness: Arc<Readiness>,
    /// The public keys.
    pub keys: Arc<Keys>,
    /// The number of leases.
    pub swarm: Arc<Swarm>,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// The counts of the public port.
    pub door_stats: Box<dyn Fn() -> DoorStats + Send + Sync>,
    /// When the process started.
    pub started_at: UnixMillis,
    /// The time now.
    pub clock: Clock,
}
