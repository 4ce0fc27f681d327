//! `admin ledger verify`: recounts the ledger and checks every invariant of the engine, over one snapshot.

use std::fmt;

use peernet_engine::economy::{SUPPLY_MT, Totals, Violation};
use serde_json::{Value, json};

use crate::store::{Store, StoreError};

/// The result of an audit.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerReport {
    /// The sums, in milli-tokens.
    pub totals: Totals,
    /// The violated invariants; empty if the ledger is right.
    pub violations: Vec<Violation>,
}

/// Audits the ledger of a store, which may be in use.
pub fn verify(store: &dyn Store) -> Result<LedgerReport, StoreError> {
    Ok(LedgerReport { totals: store.ledger_totals()?, violations: store.audit()? })
}

impl LedgerReport {
    /// Reports whether every invariant holds.
    pub fn is_sound(&self) -> bool {
        self.violations.is_empty()
    }

    /// Returns the report for programs.
    pub fn to_json(&self) -> Value {
        let violations: Vec<String> = self.violations.iter().map(Violation::to_string).collect();
        json!({
            "ok": self.is_sound(),
            "balances_mt": self.totals.balances_mt,
            "escrow_mt": self.totals.escrow_mt,
            "treasury_mt": self.totals.treasury_mt,
            "supply_mt": SUPPLY_MT,
            "violations": violations,
        })
    }
}

impl fmt::Display for LedgerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { balances_mt, escrow_mt, treasury_mt } = self.totals;
        writeln!(f, "balances  {balances_mt:>20} mt\nescrow    {escrow_mt:>20} mt\ntreasury  {treasury_mt:>20} mt")?;
        writeln!(f, "together  {:>20} mt of {SUPPLY_MT} mt issued", balances_mt + escrow_mt + treasury_mt)?;
        for violation in &self.violations {
            writeln!(f, "VIOLATION {violation}")?;
        }
        write!(f, "{}", if self.is_sound() { "OK" } else { "the ledger is wrong" })
    }
}
