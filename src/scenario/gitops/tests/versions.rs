//! Which Flux is written for, and in which form.

use super::*;

#[test]
fn without_flux_the_reason_says_what_to_install() {
    let document = document(json!({})).to_string();
    let mut served = flux();
    served.remove("kustomize.toolkit.fluxcd.io");
    for served in [served, Served::new()] {
        let reason = render(document.as_bytes(), &served, &Supplies::default()).unwrap_err();
        assert!(reason.next_step.contains("microsoft.flux"), "{reason}");
        names_the_field(reason, code::FLUX_MISSING, "toolkit.fluxcd.io");
    }
}

#[test]
fn what_an_old_flux_does_not_have_is_not_asked_of_it() {
    let served = |source: &str| {
        let mut served = flux();
        served.insert("source.toolkit.fluxcd.io".into(), vec![source.into()]);
        served
    };
    let oci =
        document(json!({"sourceKind": "OCIRepository", "ociRepository": {"url": "oci://a/b"}})).to_string();
    let azure = document(git(json!({"url": "https://a/b", "provider": "Azure"}))).to_string();
    for (content, source) in [(&oci, "v1beta1"), (&azure, "v1beta2"), (&azure, "v2")] {
        let reason = render(content.as_bytes(), &served(source), &Supplies::default()).unwrap_err();
        names_the_field(reason, code::FLUX_TOO_OLD, "source.toolkit.fluxcd.io");
    }
    assert!(render(oci.as_bytes(), &served("v1beta2"), &Supplies::default()).is_ok());
}

#[test]
fn a_time_is_written_as_go_writes_it_and_a_sources_timeout_without_hours() {
    use crate::scenario::gitops::versions::{duration, timeout};
    let times = [(1, "1s", "1s"), (60, "1m0s", "1m0s"), (600, "10m0s", "10m0s"), (3661, "1h1m1s", "61m1s")];
    for (seconds, long, short) in times {
        assert_eq!((duration(seconds).as_str(), timeout(seconds).as_str()), (long, short));
    }
}
