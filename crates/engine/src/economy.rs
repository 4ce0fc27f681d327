//! The economy: tokens state an account's contribution, the score states how likely a request to it succeeds.
//!
//! They are never mixed: tokens buy only priority, and the score orders only lookups. The rules work on rows and keep
//! no state of their own. A driver handles a batch in these steps:
//!
//! 1. It takes a batch of [`Event`]s and asks [`needs`] which rows they touch.
//! 2. It loads and locks those rows, and makes a [`WorkingSet`] of them.
//! 3. It calls [`WorkingSet::apply_batch`], writes [`WorkingSet::changes`], and commits.
//! 4. It answers the waiting requests with the [`Outcome`]s.
//!
//! A crash before the commit leaves no trace. After the commit, the rows show that a repeated event was counted.
//!
//! Invariants after every batch (checked by [`audit`](fn@audit), broken in the tests):
//!
//! - I1 Balances, escrow and treasury together are the supply.
//! - I2 No amount is negative.
//! - I3 A score is from 0 to 1.
//! - I4 A ticket pays no chunk twice and no more than it holds.
//! - I5 Applying a batch again changes nothing. A lookup that was refused a ticket for want of room may get it once
//!   there is room; that is its first effect, not a second one.
//! - I6 An account's report about itself changes nothing.
//! - I7 Hearsay makes no account unlisted, and lowers no established account below [`ESTABLISHED_SCORE`].
//! - I8 A stored score equals the score of the evidence rows.

mod audit;
mod event;
mod feedback;
mod rows;
mod rules;
mod score;
mod tickets;
mod treasury;
mod working_set;

pub use audit::{Totals, Violation, audit, audit_ledger, audit_ticket, audit_totals};
pub use event::{Changes, Event, Ignored, Needs, NoTicket, Outcome, needs};
pub use rows::{LedgerRow, Masses, PairRow, Source, TicketId, TicketRow, TreasuryRow, decode_sources, encode_sources};
pub use rules::{
    Complaints, DEMOTION, DEMOTION_GARBAGE, DIVIDEND_BELOW_MT, DIVIDEND_MAX_MT, ESTABLISHED_BONUS_MT, FAILURE_SPAN,
    FEE_PERMILLE, FINES_PER_TICKET_MT, LISTED_MAX, REGISTRATION_GRANT_MT, REGISTRATION_GRANTS_HOURLY_MT, Rules,
    SUPPLY_MT, TICKET_GRACE, TICKET_LIFE, TICKET_RENEWAL_MIN, TICKETS_OPEN_MAX, TICKETS_PER_MINUTE, TOKEN_MT, fee_mt,
    price_mt, shown_tokens,
};
pub use score::{ESTABLISHED_EVIDENCE, ESTABLISHED_SCORE, LISTED_SCORE, Standing, Tier, recompute, shown_score};
pub use treasury::dividend;
pub use working_set::WorkingSet;
