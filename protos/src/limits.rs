//! Bounds that both sides of a wire check, each with its unit.

/// Version 1's chunk size, and the default: 1 MiB.
pub const CHUNK_SIZE_BYTES_DEFAULT: u32 = 1 << 20;
/// The largest chunk size a manifest may use.
pub const CHUNK_SIZE_BYTES_MAX: u32 = 16 << 20;
/// The most chunks a manifest may have.
pub const CHUNKS_MAX: u32 = 16_384;
/// The most payload one `FetchReply` block carries.
pub const BLOCK_BYTES_MAX: u32 = 1 << 20;
/// The most ranges one `FetchRequest` lists, counting wanted and dropped apart.
pub const RANGES_PER_REQUEST_MAX: usize = 1_024;
/// The most complaints of wrong chunks of one `FetchRequest` that are heard.
pub const COMPLAINTS_PER_REQUEST_MAX: usize = 16;
/// The longest file name the tracker stores, in bytes of UTF-8.
pub const FILE_NAME_BYTES_MAX: usize = 255;
/// The longest `host:port` accepted, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 261;
/// Shortest and longest password, in bytes; bcrypt reads no more than 72.
pub const PASSWORD_BYTES_MIN: usize = 1;
/// See [`PASSWORD_BYTES_MIN`].
pub const PASSWORD_BYTES_MAX: usize = 72;
/// The most files one swarm announce names.
pub const FILES_PER_ANNOUNCE_MAX: usize = 1_000;
/// The most feedback events one batch carries.
pub const EVENTS_PER_BATCH_MAX: usize = 1_000;
/// The most sources a plan shows.
pub const SOURCES_PER_PLAN: usize = 10;
/// The most results one search page holds.
pub const SEARCH_PAGE_MAX: usize = 100;
/// The most files that a grant covers beside its first.
pub const GRANT_MORE_MAX: usize = 4;
/// The most signatures of one manifest that are told, the oldest.
pub const SIGNATURES_TOLD_MAX: usize = 10;
/// The most signatures of one manifest that are counted.
pub const SIGNATURES_COUNTED_MAX: usize = 1_000;
/// The most accounts that one file is shared with by name, and the most members of a group.
pub const MEMBERS_MAX: usize = 1_000;
/// The most groups of one account, and so the most that one file is shared with.
pub const GROUPS_MAX: usize = 100;
/// The longest name of a group, in bytes of UTF-8.
pub const GROUP_NAME_BYTES_MAX: usize = 64;
