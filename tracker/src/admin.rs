//! What an operator does from the command line, beside serving: checking the books, asking after health, showing the configuration.

mod health;
mod ledger;

pub use health::check as check_health;
pub use ledger::{LedgerReport, verify as verify_ledger};
