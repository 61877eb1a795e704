use super::*;
use std::collections::BTreeSet;

/// The file that the package installs.
const REFERENCE: &str = include_str!("../../config/arclet.toml");

const MINIMAL: &str = r#"
[cluster]
id = "/subscriptions/1bfbb5d0-917e-4346-9026-1d3b344417f5/resourceGroups/edge-rg/providers/Microsoft.Kubernetes/connectedClusters/k3s-1"
[identity]
tenant = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
client-id = "00001111-aaaa-2222-bbbb-3333cccc4444"
[ingest]
endpoint = "https://arclet-1234.eastus-1.ingest.monitor.azure.com"
dcr = "dcr-00000000000000000000000000000000"
"#;

fn parse(text: &str) -> Result<Config, Vec<Error>> {
    Config::parse(Path::new("arclet.toml"), text, None).map_err(|errors| errors.0)
}

/// The reference file with the lines that begin with `#` and a key uncommented, and also those of `examples` (`#:`).
fn uncommented(defaults: bool, examples: impl Fn(&str) -> bool) -> String {
    let line = |line: &str| match (line.strip_prefix("#: "), line.strip_prefix('#')) {
        (Some(example), _) if examples(example) => example.to_owned(),
        (None, Some(default)) if defaults && default.starts_with(|c: char| c.is_ascii_lowercase()) => {
            default.to_owned()
        }
        _ => line.to_owned(),
    };
    REFERENCE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_commented_defaults_are_the_real_ones() {
    let needed = |example: &str| {
        ["id ", "tenant ", "client-id ", "endpoint = \"https", "dcr "].iter().any(|k| example.starts_with(k))
    };
    let without = parse(&uncommented(false, needed)).unwrap();
    let with = parse(&uncommented(true, needed)).unwrap();
    assert_eq!(with, without);
}

#[test]
fn every_key_is_in_the_file_and_the_file_has_no_other() {
    let (_, _, known) = sections::interpret(Path::new("x"), "", None);
    let known: BTreeSet<String> = known
        .iter()
        .flat_map(|(section, keys)| keys.iter().map(move |key| format!("{section}.{key}")))
        .collect();
    let mut section = "";
    let mut written = BTreeSet::new();
    for line in REFERENCE.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, _)) = line.trim_start_matches(['#', ':']).trim_start().split_once(" = ")
            && line.starts_with('#')
            && !line.starts_with("# ")
        {
            written.insert(format!("{section}.{key}"));
        }
    }
    assert_eq!(written, known);
}

#[test]
fn every_example_is_accepted() {
    for nth in REFERENCE.lines().filter_map(|line| line.strip_prefix("#: ")) {
        let key = nth.split(' ').next().unwrap();
        let text = uncommented(false, |example| {
            // A feed is worth nothing without its key.
            let key = nth.starts_with("feed ") && example.starts_with("public-key ");
            example == nth || key || MINIMAL.contains(&format!("\n{} =", example.split(' ').next().unwrap()))
        });
        let errors = parse(&text).err().unwrap_or_default();
        assert!(errors.is_empty(), "{key}: {errors:?}");
    }
}

#[test]
fn every_mistake_is_reported_at_once_with_file_line_key_and_next_step() {
    let text = r#"
colour = "red"
heartbeat-interval = "5m"
[cluster]
id = "/subscriptions/1/x"
[report]
heartbeat_interval = "5m"
metadata-interval = "5 minutes"
whole-interval = 5
tags = "yes"
[stores]
[identity]
client-id = "a b"
"#;
    let errors = parse(text).unwrap_err();
    let found: Vec<_> =
        errors.iter().map(|e| (e.line, e.key.as_str(), e.kind.code(), e.next_step.as_str())).collect();
    let step = "deploy config/azure and take it from the deployment's outputs";
    assert_eq!(
        found,
        [
            (Some(2), "colour", "UnknownKey", "remove it; arclet.toml of the package lists every key"),
            (Some(3), "heartbeat-interval", "UnknownKey", "it belongs under [report]"),
            (Some(5), "cluster.id", "BadValue", "copy it from the portal: Properties, Resource ID"),
            (Some(7), "report.heartbeat_interval", "UnknownKey", "did you mean heartbeat-interval?"),
            (Some(8), "report.metadata-interval", "BadValue", ""),
            (Some(9), "report.whole-interval", "WrongType", ""),
            (Some(10), "report.tags", "WrongType", ""),
            (Some(11), "stores", "UnknownSection", "did you mean store?"),
            (Some(13), "identity.client-id", "BadValue", ""),
            (None, "identity.tenant", "Missing", "az account show --query tenantId"),
            (None, "ingest.endpoint", "Missing", step),
            (None, "ingest.dcr", "Missing", step),
        ]
    );
    assert_eq!(
        errors[3].to_string(),
        "arclet.toml:7: report.heartbeat_interval: no such key; did you mean heartbeat-interval?"
    );
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_lines() {
    let errors = parse("[cluster]\nid = \nname = x y\n").unwrap_err();
    assert!(errors.iter().all(|e| e.kind.code() == "Syntax" && e.line.is_some()), "{errors:?}");
    assert!(errors.len() >= 2, "both lines: {errors:?}");
}

#[test]
fn a_value_out_of_bounds_names_the_bounds() {
    let errors = parse(&format!("{MINIMAL}\n[store]\nreport-quota = \"1MiB\"\n")).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "arclet.toml:12: store.report-quota: 1MiB is out of bounds: 4MiB to 1024GiB"
    );
}

#[test]
fn a_token_is_only_sent_where_https_leads() {
    for bad in ["http://x.example", "https://", "https://x/path", "https://user@x", "ftp://x"] {
        let text = MINIMAL.replace("https://arclet-1234.eastus-1.ingest.monitor.azure.com", bad);
        assert_eq!(parse(&text).unwrap_err()[0].key, "ingest.endpoint", "{bad}");
        assert_eq!(
            parse(&format!("{MINIMAL}\n[cloud]\nlogin = \"{bad}\"")).unwrap_err()[0].key,
            "cloud.login"
        );
    }
    let himds =
        MINIMAL.replace("[identity]", "[identity]\nkind = \"arc-server\"\nendpoint = \"http://192.0.2.1/x\"");
    assert_eq!(parse(&himds).unwrap_err()[0].key, "identity.endpoint");
}

#[test]
fn a_proxy_password_has_no_place_in_the_file() {
    for url in ["http://me:pa55@proxy:3128", "me:pa55@proxy:3128", "socks5://me:pa55@proxy"] {
        let errors = parse(&format!("{MINIMAL}\n[proxy]\nurl = \"{url}\"\n")).unwrap_err();
        assert_eq!(errors[0].key, "proxy.url");
        assert!(!errors[0].to_string().contains("pa55"));
    }
}

#[test]
fn each_kind_of_identity_asks_for_what_it_needs() {
    let of = |more: &str| parse(&MINIMAL.replace("[identity]", &format!("[identity]\n{more}")));
    assert_eq!(of("").unwrap().identity.kind(), "client-secret");
    assert_eq!(of("kind = \"certificate\"").unwrap().identity.kind(), "certificate");
    assert_eq!(of("kind = \"federated-token\"").unwrap_err()[0].key, "identity.token-file");
    let federated = of("kind = \"federated-token\"\ntoken-file = \"/run/t\"").unwrap().identity;
    assert_eq!(federated.kind(), "federated-token");
    let alone = MINIMAL
        .replace("[identity]", "[identity]\nkind = \"arc-server\"")
        .replace("tenant", "#")
        .replace("client-id", "#");
    assert_eq!(parse(&alone).unwrap().identity, Identity::ArcServer { endpoint: HIMDS.to_owned() });
}

#[test]
fn the_metered_profile_changes_the_defaults_and_not_what_was_set() {
    let metered = parse(&format!("{MINIMAL}\n[report]\nprofile = \"metered\"\ntags = true\n")).unwrap();
    let settings = metered.settings("1");
    assert_eq!(settings.heartbeat_interval, Settings::of(Profile::Metered, "1").heartbeat_interval);
    assert!(settings.tags && settings.deliver_with_heartbeat);
}

#[test]
fn a_file_that_is_not_there_says_who_writes_it() {
    let errors = Config::load(Path::new("/nonexistent/arclet.toml")).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "/nonexistent/arclet.toml: cannot be read: there is no such file; arclet connect writes it"
    );
}

#[test]
fn retry_settings_reach_every_link() {
    let with = |more: &str| parse(&format!("{MINIMAL}\n[retry]\n{more}"));
    let config = with("first = \"50ms\"\nlongest = \"200ms\"\nrefused = \"1s\"\n").unwrap();
    let ms = Duration::from_millis;
    assert_eq!(
        config.settings("1").links,
        [link::Config::try_new(ms(50), ms(200), ms(1000)).unwrap(); Endpoint::ALL.len()]
    );
    assert_eq!(parse(MINIMAL).unwrap().settings("1"), Settings::of(Profile::Default, "1"));
    assert_eq!(with("longest = \"500ms\"").unwrap_err()[0].key, "retry.longest");
    assert_eq!(with("first = \"2s\"\nrefused = \"1s\"").unwrap_err()[0].key, "retry.refused");
}

#[test]
fn a_feed_of_releases_needs_a_key_and_is_off_without_both() {
    let key = "public-key = \"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\"";
    let feed = "feed = \"oci://registry.example/arclet\"";
    let with = |lines: &str| parse(&format!("{MINIMAL}\n[upgrade]\n{lines}"));
    let found = with(&format!("{feed}\n{key}")).unwrap();
    let upgrade = found.upgrade.clone().unwrap();
    assert_eq!((upgrade.train.as_str(), upgrade.interval), ("stable", Duration::from_secs(3600)));
    let told = found.settings("0.1.0").upgrade.unwrap();
    assert_eq!(told.source, "oci://registry.example/arclet stable");
    let metered =
        parse(&format!("{MINIMAL}\n[report]\nprofile = \"metered\"\n[upgrade]\n{feed}\n{key}")).unwrap();
    assert_eq!(metered.upgrade.unwrap().interval, Duration::from_secs(86_400));
    assert_eq!(with(key).unwrap().upgrade, None);
    for (lines, wrong) in [
        (feed.to_owned(), "upgrade.public-key"),
        (format!("{feed}\npublic-key = \"abc\""), "upgrade.public-key"),
        (format!("{key}\nfeed = \"https://registry.example/arclet\""), "upgrade.feed"),
        (format!("{feed}\n{key}\ntrain = \"a-b\""), "upgrade.train"),
    ] {
        let errors = with(&lines).unwrap_err();
        assert_eq!(errors.iter().map(|e| e.key.as_str()).collect::<Vec<_>>(), [wrong], "{errors:?}");
        assert!(!errors[0].next_step.is_empty() || wrong != "upgrade.public-key");
    }
}
