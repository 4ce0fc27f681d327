//! `admin authority show`, `rotate`. They work on its folder, whether a tracker is running or not.

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
/// The longest life of a proxy's certificate, which some programs do not take longer.
const PROXY_DAYS_MAX: u32 = 825;

/// The fingerprint, where there is an authority that can be read.
pub fn fingerprint(config: &Config) -> Option<String> {
    authority::fingerprint(&folder(config).ok()?).ok()
}

/// The fingerprint, or the certificates that members trust.
pub fn show(config: &Config, as_json: bool, as_pem: bool) -> Result<String> {
    let folder = folder(config)?;
    if as_pem {
        return Ok(authority::bundle(&folder)?.trim_end().to_owned());
    }
    let fingerprint = authority::fingerprint(&folder)?;
    if as_json { Ok(json!({"fingerprint": fingerprint, "folder": folder}).to_string()) } else { Ok(fingerprint) }
}

/// A certificate of a tracker's role and its key.
pub fn issue_for_proxy(config: &Config, names: &[String], days: u32) -> Result<String> {
    if !(1..=PROXY_DAYS_MAX).contains(&days) {
        return Err(AdminError::Usage(format!("--days: must be 1 to {PROXY_DAYS_MAX}")));
    }
    if let Some(bad) = names.iter().find(|name| !authority::is_name(name)) {
        return Err(AdminError::Usage(format!("--name: {bad:?} is no host name or address")));
    }
    Ok(authority::issue_for_proxy(&folder(config)?, names, DAY * days)?.trim_end().to_owned())
}

/// One step of a rotation, and what comes next.
pub fn rotate(config: &Config) -> Result<String> {
    let folder = folder(config)?;
    let stage = authority::rotate(&folder)?;
    let (fingerprint, hours) = (authority::fingerprint(&folder)?, config.certificate_hours);
    Ok(match stage {
        Stage::Announced => format!(
            "a next authority is made; members learn of it as they renew their certificates. Run this again after {hours} hours or more"
        ),
        Stage::Signing => format!(
            "{fingerprint} signs from now on; the one before is still trusted. Run this again after {hours} hours or more"
        ),
        Stage::Done => format!("{fingerprint} is the only authority now"),
    })
}

/// Of an authority that is there: none is made here.
fn folder(config: &Config) -> Result<std::path::PathBuf> {
    let setup = config.authority().map_err(|error| AdminError::Usage(error.to_string()))?;
    match authority::exists(&setup.folder) {
        true => Ok(setup.folder),
        false => Err(AdminError::No(format!("there is no authority in {}", setup.folder.display()))),
    }
}
