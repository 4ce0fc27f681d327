//! The treasury: grants, fees, and the daily dividend.

use crate::time::UnixMillis;

use super::rows::{LedgerRow, TreasuryRow};
use super::rules::{DIVIDEND_BELOW_MT, DIVIDEND_MAX_MT, REGISTRATION_GRANT_MT, REGISTRATION_GRANTS_HOURLY_MT};
use super::score::Tier;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

impl TreasuryRow {
    /// Takes the grant of a new account out of the treasury and returns it, in milli-tokens: 20 tokens, or 0 once the
    /// accounts of this clock hour have had 100 together. Call it inside the transaction that makes the account, which
    /// gets [`LedgerRow::new`] with it.
    pub fn grant_registration(&mut self, now: UnixMillis) -> i64 {
        let hour = now.0.div_euclid(HOUR_MS);
        if hour > self.hour {
            (self.hour, self.granted_in_hour_mt) = (hour, 0);
        }
        let room_mt = (REGISTRATION_GRANTS_HOURLY_MT - self.granted_in_hour_mt).min(self.balance_mt);
        if room_mt < REGISTRATION_GRANT_MT {
            return 0;
        }
        self.balance_mt -= REGISTRATION_GRANT_MT;
        self.granted_in_hour_mt += REGISTRATION_GRANT_MT;
        REGISTRATION_GRANT_MT
    }

    /// Takes in the fee of a settlement.
    pub(super) fn take_fee(&mut self, fee_mt: i64, now: UnixMillis) {
        self.turn_day(now.0.div_euclid(DAY_MS));
        self.balance_mt += fee_mt;
        self.fees_mt += fee_mt;
    }

    /// Starts to count the fees of `day`, if that is later than the day counted so far.
    fn turn_day(&mut self, day: i64) {
        if day > self.fees_day {
            self.fees_before_mt = if day == self.fees_day + 1 { self.fees_mt } else { 0 };
            (self.fees_day, self.fees_mt) = (day, 0);
        }
    }
}

/// Pays yesterday's fees in equal parts to the established accounts below 50 tokens, at most 20 tokens each, once a
/// day. `accounts` are all accounts that may qualify; the others stay unchanged. Returns the amount per account in
/// milli-tokens; 0 when today's dividend was paid, no fee was taken yesterday or no account qualifies. One transaction.
pub fn dividend(treasury: &mut TreasuryRow, accounts: &mut [LedgerRow], now: UnixMillis) -> i64 {
    let day = now.0.div_euclid(DAY_MS);
    treasury.turn_day(day);
    if treasury.dividend_day >= day || treasury.fees_day != day {
        return 0;
    }
    treasury.dividend_day = day;
    let qualifies =
        |row: &&mut LedgerRow| row.balance_mt < DIVIDEND_BELOW_MT && row.standing(now).tier == Tier::Established;
    let paid: Vec<&mut LedgerRow> = accounts.iter_mut().filter(qualifies).collect();
    let count = i64::try_from(paid.len()).expect("rows in memory fit i64");
    let part_mt = treasury.fees_before_mt.min(treasury.balance_mt).checked_div(count).unwrap_or(0).min(DIVIDEND_MAX_MT);
    for row in paid {
        row.balance_mt += part_mt;
        treasury.balance_mt -= part_mt;
    }
    part_mt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::economy::rows::Masses;
    use crate::economy::rules::{SUPPLY_MT, TOKEN_MT};
    use crate::ids::PeerId;

    const HOUR: UnixMillis = UnixMillis(500_000 * HOUR_MS);

    #[test]
    fn newcomers_of_an_hour_share_100_tokens() {
        let mut treasury = TreasuryRow::new();
        let grants: Vec<i64> = (0..7).map(|n| treasury.grant_registration(UnixMillis(HOUR.0 + n)) / TOKEN_MT).collect();
        assert_eq!(grants, [20, 20, 20, 20, 20, 0, 0]);
        assert_eq!(treasury.grant_registration(UnixMillis(HOUR.0 - 1)), 0, "a clock that steps back opens no new hour");
        assert_eq!(treasury.grant_registration(UnixMillis(HOUR.0 + HOUR_MS)), REGISTRATION_GRANT_MT);
        assert_eq!(treasury.balance_mt, SUPPLY_MT - 6 * REGISTRATION_GRANT_MT);
    }

    #[test]
    fn an_empty_treasury_grants_nothing() {
        let mut treasury = TreasuryRow { balance_mt: REGISTRATION_GRANT_MT - 1, ..TreasuryRow::new() };
        assert_eq!(treasury.grant_registration(HOUR), 0);
        assert_eq!(treasury.balance_mt, REGISTRATION_GRANT_MT - 1);
    }

    fn established(peer: u8, balance_mt: i64, now: UnixMillis) -> LedgerRow {
        let mut row = LedgerRow::new(PeerId([peer; 16]), balance_mt, now);
        row.masses = Masses { sessions: 5.0, at: now, ..Masses::default() };
        row
    }

    #[test]
    fn the_dividend_shares_yesterdays_fees_once_a_day() {
        let day = UnixMillis(20_000 * DAY_MS);
        let next = UnixMillis(day.0 + DAY_MS);
        let mut treasury = TreasuryRow { balance_mt: 1_000_000, ..TreasuryRow::new() };
        treasury.take_fee(1_001, day);
        let mut accounts = vec![
            established(1, 0, next),
            established(2, DIVIDEND_BELOW_MT - 1, next),
            established(3, DIVIDEND_BELOW_MT, next),
            LedgerRow::new(PeerId([4; 16]), 0, next),
        ];
        assert_eq!(dividend(&mut treasury, &mut accounts, next), 500);
        let balances: Vec<i64> = accounts.iter().map(|row| row.balance_mt).collect();
        assert_eq!(balances, [500, DIVIDEND_BELOW_MT + 499, DIVIDEND_BELOW_MT, 0]);
        assert_eq!(treasury.balance_mt, 1_000_001);
        assert_eq!(dividend(&mut treasury, &mut accounts, next), 0, "paid once a day");
        assert_eq!(dividend(&mut treasury, &mut accounts, UnixMillis(next.0 + DAY_MS)), 0, "no fees yesterday");
    }

    #[test]
    fn a_dividend_is_at_most_20_tokens_each() {
        let next = UnixMillis(20_001 * DAY_MS);
        let mut treasury = TreasuryRow::new();
        treasury.take_fee(10 * DIVIDEND_MAX_MT, UnixMillis(20_000 * DAY_MS));
        assert_eq!(dividend(&mut treasury, &mut [established(1, 0, next)], next), DIVIDEND_MAX_MT);
    }
}
