//! docs/metrics.md, the dashboard and the alerts say the same as the table of metrics.

use std::collections::BTreeSet;
use std::path::Path;

use disque::admin;

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .expect("the file is part of the source")
}

#[test]
fn the_metrics_of_the_manual_are_those_of_the_table() {
    const START: &str =
        "<!-- metrics: made from the table; UPDATE_GOLDEN=1 cargo test --test monitoring makes it anew -->\n";
    const END: &str = "<!-- end of metrics -->";
    let text = read("docs/metrics.md");
    let (before, rest) = text.split_once(START).expect("docs/metrics.md has a place for the table");
    let (found, after) = rest.split_once(END).expect("the place ends");
    let wanted = format!("{}\n", admin::metrics_table().trim_end());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
        std::fs::write(path, format!("{before}{START}{wanted}{END}{after}")).expect("it can be written");
        return;
    }
    assert_eq!(found, wanted, "run UPDATE_GOLDEN=1 cargo test --test monitoring");
}

/// The names of metrics in a text, without what the parts of histograms add.
fn metrics_named_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let names = words.filter(|word| word.starts_with("disque_") || word.starts_with("process_"));
    names
        .map(|name| {
            ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name)
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn dashboard_and_alerts_ask_for_metrics_that_exist() {
    let known: BTreeSet<String> = admin::metrics().map(|metric| metric.name.to_owned()).collect();
    for (file, at_least) in
        [("utils/monitoring/grafana-dashboard.json", 20), ("utils/monitoring/alerts.yml", 10)]
    {
        let named = metrics_named_in(&read(file));
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}");
        assert!(named.len() >= at_least, "{file} names {named:?}");
    }
}

#[test]
fn every_panel_of_the_dashboard_asks_for_something_and_has_its_place() {
    let dashboard = read("utils/monitoring/grafana-dashboard.json");
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).expect("it is JSON");
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("a list of panels") {
        assert!(ids.insert(panel["id"].as_u64()), "{} has the ID of another panel", panel["title"]);
        let (x, width) = (&panel["gridPos"]["x"], &panel["gridPos"]["w"]);
        assert!(x.as_u64().zip(width.as_u64()).is_some_and(|(x, width)| x + width <= 24), "{panel}");
        let asks = |target: &serde_json::Value| target["expr"].as_str().is_some_and(|expr| !expr.is_empty());
        let targets = panel["targets"].as_array();
        assert!(panel["type"] == "row" || targets.is_some_and(|targets| targets.iter().all(asks)), "{panel}");
    }
}

#[test]
fn every_alert_says_what_is_wrong_and_what_to_do() {
    let alerts = read("utils/monitoring/alerts.yml");
    let rules: Vec<&str> = alerts.split("- alert: ").skip(1).collect();
    for rule in &rules {
        let name = rule.lines().next().expect("a rule has a name");
        for part in ["expr: ", "labels: { severity: ", "annotations:", "summary: \"", "description: \""] {
            assert_eq!(rule.matches(part).count(), 1, "{name}: {part}");
        }
    }
    let names: BTreeSet<_> = rules.iter().filter_map(|rule| rule.lines().next()).collect();
    assert_eq!(names.len(), rules.len(), "names are unique");
}
