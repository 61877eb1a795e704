//! Documents with the objects that they become, one file for each group of options in `../golden/`, reviewed by hand.
//!
//! `ARCLET_GOLDEN=write cargo test --lib gitops::tests::golden` writes the objects anew; the difference is then for a person to
//! read. A new file needs `about`, `document` and `served`.

use super::*;
use std::path::{Path, PathBuf};

/// Every golden file, with its content, by name.
pub(super) fn all() -> Vec<(PathBuf, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/scenario/gitops/golden");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let content = serde_json::from_slice(&std::fs::read(&path).unwrap());
        (path.clone(), content.unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    };
    files.into_iter().map(read).collect()
}

/// What a golden file's document becomes.
pub(super) fn objects(golden: &Value) -> Vec<Value> {
    let served = serde_json::from_value(golden["served"].clone()).unwrap();
    render(golden["document"].to_string().as_bytes(), &served, &supplies(golden))
        .unwrap_or_else(|r| panic!("{r}"))
}

/// What the vault has, by its names there: `"vault": {…}`, or none.
fn supplies(golden: &Value) -> Supplies {
    let Some(vault) = golden["vault"].as_object() else { return Supplies::default() };
    let secret = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap().to_owned().into());
    let naming = Some(Naming { prefix: String::new() });
    Supplies { naming, secrets: vault.iter().map(secret).collect(), ..Supplies::default() }
}

#[test]
fn every_document_becomes_the_objects_that_were_reviewed() {
    let write = std::env::var_os("ARCLET_GOLDEN").is_some_and(|v| v == "write");
    let all = all();
    assert!(all.len() >= 16, "golden files have gone: {} are left", all.len());
    let mut different = Vec::new();
    for (path, mut golden) in all {
        let objects = json!(objects(&golden));
        if golden["objects"] == objects {
            continue;
        }
        if write {
            golden["objects"] = objects;
            std::fs::write(&path, format!("{golden:#}\n")).unwrap();
        } else {
            different.push(format!("{}: now {objects:#}", path.display()));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
