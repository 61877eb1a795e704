//! Whether a host can be reached at all: name, proxy, connection, TLS and an answer in HTTP, by one call without a token;
//! and whether what is there may be used, where asking changes nothing.
//!
//! The answer's status does not matter for the first. Its time does: a device whose clock is wrong learns so before it signs
//! or judges anything.

use super::checks::reason_of;
use crate::azure::vault::{self, Vault};
use crate::clock::{AGREE_MS, Clock};
use crate::core::Reason;
use crate::http::{Client, Request};
use std::time::Duration;

/// For a whole answer, however small: what takes longer than this is of no use for reports.
const DEADLINE: Duration = Duration::from_secs(30);

/// What came of a call.
pub(super) struct Reached {
    /// The server's time, in milliseconds since 1970.
    pub(super) date_ms: Option<i64>,
}

/// Calls a base URL.
pub(super) fn reach(client: &Client, url: &str) -> Result<Reached, Reason> {
    let request = Request::get(format!("{url}/")).deadline(DEADLINE).max_body(4 << 20);
    let response = client.call(&request).map_err(Reason::from)?;
    Ok(Reached { date_ms: response.date_ms })
}

/// Whether secrets may be read, without reading one: of a name that nobody uses, the vault says 404 to who may and 403 to
/// who may not.
pub(super) fn may_read_secrets(vault: &Vault, token: &str) -> Result<(), Reason> {
    match vault.get("arclet-doctor-probe", token).map_err(reason_of)? {
        Err(reason) if reason.code != vault::code::MISSING => Err(reason),
        _ => Ok(()),
    }
}

/// The clock of this machine against a server's: fine, or what to do. Differences up to a minute are no news.
pub(super) fn compare(clock: &Clock, server: &str, date_ms: i64) -> Result<String, Reason> {
    let off = date_ms - clock.now().wall_ms;
    if off.abs() <= AGREE_MS {
        return Ok(format!("agrees with {server}"));
    }
    let (way, span) =
        (if off > 0 { "behind" } else { "ahead of" }, super::text::span(off.unsigned_abs() / 1000));
    Err(Reason::new("ClockSkew", format!("this machine's clock is {span} {way} {server}"))
        .cure("set it (timedatectl set-ntp true); arclet corrects the times that it reports meanwhile"))
}

/// Host and port of a URL, for people.
pub(super) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}
