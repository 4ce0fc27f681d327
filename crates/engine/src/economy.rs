//! The two ledgers: tokens say what an account contributed, the score says how likely a request to it works.
//!
//! They are never mixed: tokens buy priority only, the score orders lookups only. Everything is rows in, rows out. A driver
//! takes a batch of [`Event`]s, asks [`needs`] which rows they touch, loads and locks those, makes a [`WorkingSet`] of them,
//! calls [`WorkingSet::apply_batch`], writes [`WorkingSet::changes`], commits, and then answers whoever waits with the
//! [`Outcome`]s. Nothing is remembered between batches, so a crash before the commit leaves no trace, and after it every
//! repeated event finds in the rows that it has been counted.
//!
//! What holds after every batch (checked by [`audit`](fn@audit), broken in the tests):
//!
//! - I1 balances, escrow and treasury together are the supply
//! - I2 nothing is negative
//! - I3 a score is from 0 to 1
//! - I4 a ticket pays no chunk twice and no more than it holds
//! - I5 applying a batch again changes nothing. (A lookup that was refused a ticket for want of room may get it once there
//!   is room; that is its first effect, not a second one.)
//! - I6 nobody's report on itself moves anything
//! - I7 hearsay takes nobody off the list, and no established account below [`ESTABLISHED_SCORE`]
//! - I8 a stored score is what the evidence rows give

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
