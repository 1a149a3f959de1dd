//! Sides made of JSON, and what is different.

use serde_json::{Value, json};

use super::*;

fn frame(function: &str, line: u64) -> Value {
    json!({ "function": function, "file": "/src/a.c", "line": line, "module": "/bin/a", "offset": "0x10", "inlined": false })
}

fn made(function: &str, line: u64) -> Value {
    json!({ "time": "", "pid": 1, "tid": 1, "call": "shm_open", "stack": [frame(function, line), frame("main", 40)] })
}

fn object(name: &str, size: u64, exists: bool, function: &str, line: u64) -> Value {
    json!({ "family": "posix", "name": name, "key": null, "shmid": null, "dev": 1, "ino": 2, "size": size, "mode": "0600",
            "created": made(function, line), "removed": null, "exists": exists, "attached": 0, "calls": {} })
}

fn leak(name: &str, size: u64, function: &str, line: u64) -> Value {
    json!({ "kind": "posix-leak", "severity": "error", "message": "m", "hint": "h", "count": 1, "bytes": size,
            "object": object(name, size, true, function, line), "process": null, "event": made(function, line), "related": [] })
}

fn side(objects: &[Value], findings: &[Value]) -> Side {
    let report = json!({ "schema": "shmaudit-report/1", "objects": objects, "findings": findings, "summary": { "events_lost": 0 } });
    Side::of_json(report.to_string().as_bytes()).unwrap()
}

fn told(entries: &[Entry]) -> Vec<String> {
    let told = |entry: &Entry| {
        let (before, after) = (entry.before, entry.after);
        let change = format!("{:?}", entry.change);
        format!("{change} {} {}/{} {}/{}", entry.what, before.count, before.bytes, after.count, after.bytes)
    };
    entries.iter().map(told).collect()
}

#[test]
fn the_same_is_no_difference() {
    // Other pids in names, other lines.
    let before = side(&[object("/a-12", 100, true, "f", 3)], &[leak("/a-12", 100, "f", 3)]);
    let after = side(&[object("/a-77", 100, true, "f", 9)], &[leak("/a-77", 100, "f", 9)]);
    let difference = Difference::of(&before, &after);
    assert_eq!(told(&difference.findings), [""; 0]);
    assert_eq!(told(&difference.objects), [""; 0]);
    assert_eq!(told(&difference.call_sites), [""; 0]);
    assert_eq!(difference.new_errors(), 0);
}

#[test]
fn appeared_grew_vanished() {
    let before = side(
        &[object("/old", 5, true, "g", 1), object("/a-1", 100, true, "f", 3)],
        &[leak("/old", 5, "g", 1), leak("/a-1", 100, "f", 3)],
    );
    let after = side(
        &[object("/a-2", 100, true, "f", 3), object("/a-3", 150, true, "f", 3), object("/new", 7, true, "h", 2)],
        &[leak("/a-2", 100, "f", 3), leak("/a-3", 150, "f", 3), leak("/new", 7, "h", 2)],
    );
    let difference = Difference::of(&before, &after);
    assert_eq!(
        told(&difference.findings),
        [
            "Appeared /new, shm_open at h a.c:2 0/0 1/7",
            "Grew /a-*, shm_open at f a.c:3 1/100 2/250",
            "Vanished /old, shm_open at g a.c:1 1/5 0/0"
        ]
    );
    assert_eq!(told(&difference.objects), ["Appeared /new 0/0 1/7", "Grew /a-* 1/100 2/250", "Vanished /old 1/5 0/0"]);
    assert_eq!(
        told(&difference.call_sites),
        [
            "Appeared shm_open at h a.c:2, by main 0/0 1/7",
            "Grew shm_open at f a.c:3, by main 1/100 2/250",
            "Vanished shm_open at g a.c:1, by main 1/5 0/0"
        ]
    );
    assert_eq!(difference.new_errors(), 2);
    assert_eq!(Difference::of(&after, &before).new_errors(), 1);
}

#[test]
fn what_is_no_longer_removed_grew() {
    let before = side(&[object("/a", 5, false, "g", 1)], &[]);
    let after = side(&[object("/a", 5, true, "g", 1)], &[]);
    let difference = Difference::of(&before, &after);
    assert_eq!(told(&difference.objects), ["Grew /a 1/5 1/5"]);
    assert_eq!(difference.objects.first().and_then(|entry| entry.after.left), Some(1));
}

#[test]
fn segments_without_a_name_are_known_by_their_place() {
    let segment = |key: &str, function: &str| {
        let mut segment = object("", 9, true, function, 1);
        segment["family"] = "sysv".into();
        segment["name"] = Value::Null;
        segment["key"] = key.into();
        segment
    };
    let before = side(&[segment("IPC_PRIVATE", "f"), segment("0x00000011", "f")], &[]);
    let after = side(&[segment("IPC_PRIVATE", "g"), segment("0x00000011", "g")], &[]);
    let difference = Difference::of(&before, &after);
    let expected =
        ["Appeared segment IPC_PRIVATE of g a.c:1 0/0 1/9", "Vanished segment IPC_PRIVATE of f a.c:1 1/9 0/0"];
    assert_eq!(told(&difference.objects), expected);
}

#[test]
fn what_is_no_report_is_refused() {
    let refused = |text: &str| Side::of_json(text.as_bytes()).err().unwrap_or_default();
    assert_eq!(refused(""), "empty");
    assert!(refused("{").starts_with("not a report in JSON: EOF while parsing"));
    assert!(refused("{\"schema\": 1}").starts_with("not a report in JSON: invalid type: integer `1`"));
    let other =
        "{\"schema\": \"x\\u001b[31m/2\", \"objects\": [], \"findings\": [], \"summary\": {\"events_lost\": 0}}";
    assert_eq!(refused(other), "a report of schema x\\33[31m/2, not shmaudit-report/1");
    assert!(
        refused(&"[".repeat(1_000_000)).contains("recursion limit")
            || refused(&"[".repeat(1_000_000)).contains("invalid type")
    );
}
