//! `admin authority show`, `issue` and `rotate`. They work on the authority's folder, whether or not a tracker is running.

use std::time::Duration;

use serde_json::json;

use super::{AdminError, Result};
use crate::boot::config::Config;
use crate::domain::authority::{self, AuthorityError, Stage};

impl From<AuthorityError> for AdminError {
    fn from(error: AuthorityError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The unit of `--days`.
const DAY: Duration = Duration::from_secs(86_400);
/// The longest life of a proxy's certificate. Some programs refuse longer ones.
const PROXY_DAYS_MAX: u32 = 825;

/// Returns the authority's fingerprint, if there is an authority that can be read.
pub fn fingerprint(config: &Config) -> Option<String> {
    authority::fingerprint(&folder(config).ok()?).ok()
}

/// Shows the fingerprint, or the certificates that members trust.
pub fn show(config: &Config, as_json: bool, as_pem: bool) -> Result<String> {
    let folder = folder(config)?;
    if as_pem {
        return Ok(authority::bundle(&folder)?.trim_end().to_owned());
    }
    let fingerprint = authority::fingerprint(&folder)?;
    if as_json { Ok(json!({"fingerprint": fingerprint, "folder": folder}).to_string()) } else { Ok(fingerprint) }
}

/// Issues a certificate in the tracker's role, and returns it with its key.
pub fn issue_for_proxy(config: &Config, names: &[String], days: u32) -> Result<String> {
    if !(1..=PROXY_DAYS_MAX).contains(&days) {
        return Err(AdminError::Usage(format!("--days: must be 1 to {PROXY_DAYS_MAX}")));
    }
    if let Some(bad) = names.iter().find(|name| !authority::is_name(name)) {
        return Err(AdminError::Usage(format!("--name: {bad:?} is not a host name or address")));
    }
    Ok(authority::issue_for_proxy(&folder(config)?, names, DAY * days)?.trim_end().to_owned())
}

/// Takes one step of a rotation, and says what comes next.
pub fn rotate(config: &Config) -> Result<String> {
    let folder = folder(config)?;
    let stage = authority::rotate(&folder)?;
    let fingerprint = authority::fingerprint(&folder)?;
    let hours = config.certificate_hours;
    Ok(match stage {
        Stage::Announced => format!(
            "made the next authority; members learn of it as they renew their certificates. Run this again after {hours} hours or more"
        ),
        Stage::Signing => format!(
            "{fingerprint} signs from now on; the old authority is still trusted. Run this again after {hours} hours or more"
        ),
        Stage::Done => format!("{fingerprint} is the only authority now"),
    })
}

/// Returns the folder of an existing authority. No command here makes one.
fn folder(config: &Config) -> Result<std::path::PathBuf> {
    let setup = config.authority().map_err(|error| AdminError::Usage(error.to_string()))?;
    match authority::exists(&setup.folder) {
        true => Ok(setup.folder),
        false => Err(AdminError::No(format!("there is no authority in {}", setup.folder.display()))),
    }
}
