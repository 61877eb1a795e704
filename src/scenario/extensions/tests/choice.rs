//! Which version is taken.

use super::*;

const PLATFORM: Platform<'_> = Platform { version: "v1.31.4+k3s1", distribution: "k3s" };

/// What is chosen: a version, `=` for what is held, or the code of the refusal. And what holds a better choice up.
fn chosen(
    properties: Value,
    charts: &[(&str, &str)],
    held: Option<&str>,
    offers: &Offers,
) -> (String, Option<Reason>) {
    let catalogue = catalogue(charts);
    let held = held.map(chart);
    let held = held.as_deref().and_then(Chart::from_bytes);
    match choose(&extension(properties), &catalogue, held.as_ref(), offers, &PLATFORM) {
        Ok((Choice::Take(entry), lag)) => (entry.version.to_string(), lag),
        Ok((Choice::Keep, lag)) => ("=".into(), lag),
        Err(reason) => (reason.code.clone(), Some(reason)),
    }
}

fn version(properties: Value, charts: &[(&str, &str)], held: Option<&str>) -> String {
    chosen(properties, charts, held, &Offers::default()).0
}

const CHARTS: [(&str, &str); 8] = [
    ("stable", "1.2.0"),
    ("stable", "1.2.9"),
    ("stable", "1.10.0"),
    ("stable", "1.11.0-rc.1"),
    ("stable", "2.0.0"),
    ("stable", "3.0.0-beta"),
    ("preview", "2.1.0"),
    ("preview", "9.0.0-alpha"),
];

#[test]
fn an_explicit_version_is_taken_up_and_down_and_from_its_own_train() {
    for held in [None, Some("1.10.0"), Some("2.0.0")] {
        assert_eq!(version(json!({"version": "1.2.9"}), &CHARTS, held), "1.2.9");
        // However it may be upgraded.
        let both =
            json!({"version": "1.2.9", "autoUpgradeMinorVersion": true, "autoUpgradeMode": "compatible"});
        assert_eq!(version(both, &CHARTS, held), "1.2.9");
    }
    assert_eq!(version(json!({"version": "1.11.0-rc.1"}), &CHARTS, None), "1.11.0-rc.1");
    assert_eq!(version(json!({"version": "2.1.0"}), &CHARTS, None), code::NOT_IN_CATALOGUE);
    assert_eq!(version(json!({"version": "2.1.0", "releaseTrain": "Preview"}), &CHARTS, None), "2.1.0");
}

#[test]
fn without_a_version_the_newest_release_is_installed_and_upgraded_as_far_as_its_mode_allows() {
    for properties in [json!({}), json!({"version": null}), json!({"autoUpgradeMode": "none"})] {
        assert_eq!(version(properties, &CHARTS, None), "2.0.0");
    }
    let mode = |mode: &str, held| version(json!({"autoUpgradeMode": mode}), &CHARTS, Some(held));
    assert_eq!(mode("none", "1.2.0"), "1.2.0");
    assert_eq!(mode("patch", "1.2.0"), "1.2.9");
    assert_eq!(mode("Compatible", "1.2.0"), "1.10.0");
    assert_eq!(mode("compatible", "2.0.0"), "2.0.0");
    // autoUpgradeMinorVersion counts where there is no mode, and is true if nobody says otherwise.
    assert_eq!(version(json!({}), &CHARTS, Some("1.2.0")), "1.10.0");
    assert_eq!(version(json!({"autoUpgradeMinorVersion": false}), &CHARTS, Some("1.2.0")), "1.2.0");
    let both = json!({"autoUpgradeMinorVersion": true, "autoUpgradeMode": "none"});
    assert_eq!(version(both, &CHARTS, Some("1.2.0")), "1.2.0");
}

#[test]
fn what_is_held_stays_when_the_catalogue_lost_it_and_never_goes_down_by_itself() {
    assert_eq!(version(json!({"autoUpgradeMode": "none"}), &CHARTS, Some("1.5.0")), "=");
    assert_eq!(version(json!({}), &CHARTS, Some("1.20.0")), "=");
    assert_eq!(version(json!({}), &CHARTS, Some("7.0.0")), "=");
    assert_eq!(version(json!({}), &[], Some("1.2.0")), "=");
    // A pre-release only where there is nothing else, or by its number.
    assert_eq!(
        version(json!({}), &[("stable", "1.0.0-rc.2"), ("stable", "1.0.0-rc.10")], None),
        "1.0.0-rc.10"
    );
    assert_eq!(version(json!({}), &CHARTS, Some("1.11.0-rc.1")), "1.11.0-rc.1");
}

#[test]
fn a_chart_of_another_type_or_train_is_not_what_is_held() {
    let catalogue = catalogue(&CHARTS);
    let held = chart("1.2.0");
    let held = Chart::from_bytes(&held);
    let preview = extension(json!({"releaseTrain": "preview", "autoUpgradeMode": "none"}));
    let Ok((Choice::Take(entry), None)) =
        choose(&preview, &catalogue, held.as_ref(), &Offers::default(), &PLATFORM)
    else {
        panic!("nothing chosen")
    };
    assert_eq!(entry.version.as_str(), "2.1.0");
}

#[test]
fn what_the_catalogue_lacks_is_said_with_what_it_has() {
    let (code, reason) = chosen(json!({"version": "4.0.0"}), &CHARTS, Some("1.2.0"), &Offers::default());
    assert_eq!(code, code::NOT_IN_CATALOGUE);
    let text = reason.unwrap().to_string();
    for part in ["contoso.monitor 4.0.0 (stable)", "stable 1.2.0 1.2.9", "preview 2.1.0", "catalogue"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (_, reason) = chosen(json!({}), &[], None, &Offers::default());
    assert!(reason.unwrap().message.contains("nothing of that type"));
}

fn offer(version: &str, unsupported: &[(&str, &str)]) -> Offer {
    let unsupported = unsupported.iter().map(|(d, v)| ((*d).to_owned(), (*v).to_owned())).collect();
    Offer { version: version.into(), unsupported }
}

#[test]
fn what_azure_says_does_not_run_here_is_passed_over_or_refused() {
    let offers = Offers(vec![
        offer("2.0.0", &[("k3s", ">1.30")]),
        offer("1.10.0", &[("aks", ">1.30"), ("k3s", "1.20..1.30")]),
        offer("1.2.9", &[("", "1.31")]),
    ]);
    let version = |properties, held| chosen(properties, &CHARTS, held, &offers).0;
    assert_eq!(version(json!({}), None), "1.10.0");
    assert_eq!(version(json!({"autoUpgradeMode": "patch"}), Some("1.2.0")), "1.2.0");
    assert_eq!(version(json!({"version": "2.0.0"}), None), code::UNSUPPORTED_KUBERNETES);
    // What already runs is not taken away for it.
    assert_eq!(version(json!({}), Some("2.0.0")), "2.0.0");
    let only = chosen(json!({}), &[("stable", "2.0.0")], None, &offers);
    assert_eq!(only.0, code::UNSUPPORTED_KUBERNETES);
    assert!(only.1.unwrap().message.contains("v1.31.4+k3s1"));
}

#[test]
fn a_newer_version_of_azures_is_shown_where_the_catalogue_lacks_it_and_it_would_be_taken() {
    let offers = Offers(vec![offer("1.12.0", &[]), offer("1.13.0", &[("k3s", "1.31")]), offer("5.0.0", &[])]);
    let lag = |properties, held| chosen(properties, &CHARTS, held, &offers);
    let (version, reason) = lag(json!({}), Some("1.2.0"));
    assert_eq!(version, "1.10.0");
    let reason = reason.unwrap();
    assert_eq!(reason.code, code::NOT_IN_CATALOGUE);
    assert!(reason.message.contains("1.12.0") && !reason.message.contains("1.13.0"), "{reason}");
    for quiet in
        [json!({"autoUpgradeMode": "none"}), json!({"autoUpgradeMode": "patch"}), json!({"version": "1.2.0"})]
    {
        assert_eq!(lag(quiet.clone(), Some("1.2.0")).1, None, "{quiet}");
    }
}
