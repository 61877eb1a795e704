//! Builds the real release binary, as a user's `cargo build --release` would.

use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The path of the release binary, built if need be. Takes minutes the first time (one link-time-optimised unit).
pub async fn release_binary() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    eprintln!("lab: building the release binary (the first time takes a few minutes)");
    let output = tokio::process::Command::new(cargo)
        .current_dir(&root)
        .args([
            "build",
            "--release",
            "--package",
            "arclet",
            "--bin",
            "arclet",
            "--message-format",
            "json-render-diagnostics",
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|e| {
            format!("cannot start cargo: {e}; start the lab with `cargo lab`, or name a binary with --arclet")
        })?;
    if !output.status.success() {
        return Err(format!("the release binary does not build ({})", output.status));
    }
    executable(&output.stdout).ok_or_else(|| "cargo did not say where the binary is".to_owned())
}

/// Where cargo put the binary, from its own messages: the target directory may be anywhere.
fn executable(messages: &[u8]) -> Option<PathBuf> {
    String::from_utf8_lossy(messages)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "arclet")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_where_cargo_says() {
        let messages = br#"{"reason":"compiler-artifact","target":{"name":"sled"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"arclet"},"executable":"/x/release/arclet"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/x/release/arclet")));
    }
}
