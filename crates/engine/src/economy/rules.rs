//! The constants of the economy and the arithmetic of prices.
//!
//! Tokens state an account's contribution and buy only priority. There is no debt, and no request is refused for lack
//! of tokens. Amounts are milli-tokens (mt) in `i64`; every amount is at most [`SUPPLY_MT`], so sums of a few of them
//! cannot overflow.

use std::time::Duration;

/// The supply of milli-tokens: written to the treasury once, never changed.
pub const SUPPLY_MT: i64 = 1_000_000_000_000;
/// The milli-tokens of a token. A token is a mebibyte of verified payload.
pub const TOKEN_MT: i64 = 1_000;
/// The grant of a new account, in milli-tokens.
pub const REGISTRATION_GRANT_MT: i64 = 20 * TOKEN_MT;
/// The most that all new accounts of an hour get together, in milli-tokens.
pub const REGISTRATION_GRANTS_HOURLY_MT: i64 = 100 * TOKEN_MT;
/// The bonus of an account that is established for the first time, in milli-tokens.
pub const ESTABLISHED_BONUS_MT: i64 = 80 * TOKEN_MT;
/// The treasury's part of each settlement, in thousandths, rounded up to a whole milli-token.
pub const FEE_PERMILLE: i64 = 50;
/// The most that a dividend pays to one account, in milli-tokens.
pub const DIVIDEND_MAX_MT: i64 = 20 * TOKEN_MT;
/// The balance in milli-tokens below which an account takes part in the dividend.
pub const DIVIDEND_BELOW_MT: i64 = 50 * TOKEN_MT;
/// The most that the complaints of one ticket cost others, in milli-tokens.
pub const FINES_PER_TICKET_MT: i64 = TOKEN_MT;

/// The most sources that a ticket lists and a lookup orders.
pub const LISTED_MAX: usize = 50;
/// The lifetime of a ticket after its last renewal.
pub const TICKET_LIFE: Duration = Duration::from_secs(6 * 3600);
/// The time after its expiry during which a ticket still settles, because feedback may be late.
pub const TICKET_GRACE: Duration = Duration::from_secs(3600);
/// A ticket that is used again within this time of its last renewal keeps its expiry and escrow, which saves the write.
pub const TICKET_RENEWAL_MIN: Duration = Duration::from_secs(60);
/// The most tickets that an account opens in a minute.
pub const TICKETS_PER_MINUTE: i64 = 10;
/// The most tickets of an account that are not fully paid.
pub const TICKETS_OPEN_MAX: i64 = 64;
/// The span in which a failure of one source counts once per ticket.
pub const FAILURE_SPAN: Duration = Duration::from_secs(6 * 3600);
/// The time for which a complaint puts its target last in the lookups of the account that complained.
pub const DEMOTION: Duration = Duration::from_secs(12 * 3600);
/// The same for a complaint about garbage.
pub const DEMOTION_GARBAGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The effect of an unproven complaint beyond the lookups of the account that complained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Complaints {
    /// Distinct paying reporters lower a score inside its tier, and a complaint costs its target a fine of at most the
    /// chunk's price: for swarms whose members were invited.
    Bounded,
    /// No effect: for swarms that anyone may join.
    #[default]
    Evidence,
}

impl Complaints {
    /// The configuration's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bounded => "bounded",
            Self::Evidence => "evidence",
        }
    }

    /// Parses a word of the configuration; `None` if it is neither `bounded` nor `evidence`.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Bounded, Self::Evidence].into_iter().find(|policy| policy.as_str() == word)
    }
}

/// The rules that an operator may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// The effect of unproven complaints.
    pub complaints: Complaints,
}

/// The price of a chunk of `bytes` bytes in milli-tokens: ceil(bytes * 1000 / 2^20), at least 1.
pub fn price_mt(bytes: u32) -> i64 {
    let price = (u64::from(bytes) * 1_000).div_ceil(1 << 20).max(1);
    i64::try_from(price).expect("at most 4,096,000")
}

/// The treasury's part of a settlement of `paid_mt` milli-tokens, which is at least 0.
pub fn fee_mt(paid_mt: i64) -> i64 {
    (paid_mt * FEE_PERMILLE + 999) / 1_000
}

/// Whole tokens for display: floor(mt / 1000).
pub fn shown_tokens(balance_mt: i64) -> i64 {
    balance_mt.div_euclid(TOKEN_MT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_the_bytes_in_thousandths_of_a_mebibyte_rounded_up() {
        for (bytes, price) in [
            (0, 1),
            (1, 1),
            (1_048, 1),
            (1_049, 2),
            (1 << 19, 500),
            (1 << 20, 1_000),
            ((1 << 20) + 1, 1_001),
            (16 << 20, 16_000),
        ] {
            assert_eq!(price_mt(bytes), price, "{bytes}");
        }
    }

    #[test]
    fn a_fee_is_a_twentieth_rounded_up_and_never_more_than_was_paid() {
        for (paid, fee) in [(0, 0), (1, 1), (20, 1), (21, 2), (1_000, 50), (16_000, 800)] {
            assert_eq!(fee_mt(paid), fee, "{paid}");
        }
    }

    #[test]
    fn a_policy_is_one_of_two_words() {
        for (word, policy) in [
            ("bounded", Some(Complaints::Bounded)),
            ("evidence", Some(Complaints::Evidence)),
            ("Bounded", None),
            ("", None),
        ] {
            assert_eq!(Complaints::from_word(word), policy, "{word}");
        }
    }

    #[test]
    fn shown_tokens_are_whole_and_rounded_down() {
        assert_eq!([0, 999, 1_000, 20_500].map(shown_tokens), [0, 0, 1, 20]);
    }
}
