//! The table in src/lib.rs, checked: which room may import which, and which must do without unsafe code.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

struct Room {
    imports: BTreeSet<String>,
    safe: bool,
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The rows of the table: name, job, rooms that may be imported ("all" of them, or "-" for none).
fn rooms() -> BTreeMap<String, Room> {
    let text = fs::read_to_string(source().join("lib.rs")).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter_map(|l| l.strip_prefix("//! | "))
        .map(|l| l.trim_end_matches('|').split(" | ").map(str::trim).collect())
        .filter(|row: &Vec<&str>| row[0].contains('`'))
        .collect();
    let name = |row: &[&str]| row[0].trim_matches(|c| "[]`".contains(c)).to_string();
    let all: BTreeSet<String> = rows.iter().map(|r| name(r)).collect();
    let room = |row: &Vec<&str>| {
        let imports = match row[2] {
            "all" => all.clone(),
            "-" => BTreeSet::new(),
            list => list.split(',').map(|r| r.trim().trim_matches('`').to_string()).collect(),
        };
        assert!(imports.is_subset(&all), "{row:?} names an unknown room");
        (name(row), Room { imports, safe: row[1].contains("no unsafe") })
    };
    rows.iter().map(room).collect()
}

/// The code without comments and without what stands in quotes.
fn code(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |n| n + 2)
        } else if c == '"'
            || rest.starts_with("r\"")
            || rest.starts_with("r#") && rest[2..].trim_start_matches('#').starts_with('"')
        {
            quoted(rest)
        } else if let Some(escape) = rest.strip_prefix("'\\") {
            escape.char_indices().skip(1).find(|&(_, c)| c == '\'').map_or(rest.len(), |(n, _)| n + 3)
        } else if rest.starts_with("'\"'") {
            3
        } else {
            0
        };
        out.push(if skip > 0 { ' ' } else { c });
        rest = &rest[skip.max(c.len_utf8())..];
    }
    out
}

/// Length of the string literal at the start.
fn quoted(s: &str) -> usize {
    let hashes = s.chars().skip(1).take_while(|&c| c == '#').count();
    if s.starts_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        return s[hashes + 2..].find(&end).map_or(s.len(), |n| hashes + 2 + n + end.len());
    }
    let mut escaped = false;
    for (n, c) in s.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return n + 1,
            _ => {}
        }
    }
    s.len()
}

fn word(s: &str) -> &str {
    let s = s.trim_start();
    &s[..s.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(s.len())]
}

/// The first names behind `crate::`, also in braces.
fn imported(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, prefix) in code.match_indices("crate::") {
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.trim_start().strip_prefix('{') else {
            found.insert(word(rest).to_string());
            continue;
        };
        let mut depth = 0;
        found.insert(word(group).to_string());
        for (n, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    found.insert(word(&group[n + 1..]).to_string());
                }
                _ => {}
            }
        }
    }
    found
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let list = entries.flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] });
    list.filter(|p| p.extension().is_some_and(|e| e == "rs")).collect()
}

/// The room of a file, and its code.
fn each(mut visit: impl FnMut(&str, &Path, &str)) {
    let mut seen = 0;
    for path in files(&source()) {
        let inside = path.strip_prefix(source()).unwrap();
        if inside == Path::new("lib.rs") {
            continue;
        }
        let room = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        visit(room.trim_end_matches(".rs"), inside, &code(&fs::read_to_string(&path).unwrap()));
        seen += 1;
    }
    assert!(seen > 20, "only {seen} files found");
}

#[test]
fn rooms_import_what_the_table_allows() {
    let rooms = rooms();
    let mut bad = Vec::new();
    each(|room, file, code| {
        let Some(allowed) = rooms.get(room) else {
            bad.push(format!("{}: not in a room of the table", file.display()));
            return;
        };
        for name in imported(code) {
            if rooms.contains_key(&name) && name != room && !allowed.imports.contains(&name) {
                bad.push(format!("{}: {room} may not import {name}", file.display()));
            }
        }
    });
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn safe_rooms_have_no_unsafe_code() {
    let rooms = rooms();
    assert!(["proto", "hash", "tls"].iter().all(|room| rooms[*room].safe));
    let mut bad = Vec::new();
    each(|room, file, code| {
        let is_unsafe = code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe");
        if is_unsafe && rooms.get(room).is_some_and(|r| r.safe) {
            bad.push(file.display().to_string());
        }
    });
    assert!(bad.is_empty(), "unsafe code in {}", bad.join(", "));
}

/// The places where code is unsafe: blocks, and impls of unsafe traits. Functions that are unsafe to call have their blocks inside.
fn unsafe_blocks(code: &str) -> usize {
    let words = code.match_indices("unsafe").filter(|(at, _)| {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        !code[..*at].ends_with(is_part) && !code[at + 6..].starts_with(is_part)
    });
    words.filter(|(at, _)| code[at + 6..].trim_start().starts_with('{') || word(&code[at + 6..]) == "impl").count()
}

/// How many there may be in each room: lower the number when the count has fallen.
const UNSAFE: &str = include_str!("unsafe.tsv");

#[test]
fn unsafe_blocks_become_fewer() {
    let mut counts = BTreeMap::<String, usize>::new();
    each(|room, _, code| *counts.entry(room.to_string()).or_default() += unsafe_blocks(code));
    let allowed: BTreeMap<String, usize> =
        UNSAFE.lines().filter_map(|l| l.split_once('\t')).map(|(room, n)| (room.to_string(), n.parse().unwrap())).collect();
    println!("unsafe blocks by room:");
    for (room, n) in &counts {
        println!("{room}\t{n}");
    }
    println!("all\t{}", counts.values().sum::<usize>());
    assert_eq!(counts, allowed, "more than c-tests/unsafe.tsv allows, or fewer: then write the new number there");
}

#[test]
fn unsafe_blocks_are_counted() {
    let text = "unsafe fn f() { unsafe { g() } } // unsafe {\nunsafe impl Send for T {} let s = \"unsafe {\"; unsafe extern \"C\" {} not_unsafe{}";
    assert_eq!(unsafe_blocks(&code(text)), 2);
}

#[test]
fn imports_are_seen() {
    let code = code(
        "use crate::{abi::{mg_str, mg_addr}, guard::{bytes, heap},\n    sys,\n}; // crate::net\nfn f() { crate::proto::url::host(\"crate::hash\"); }",
    );
    let names: Vec<String> = imported(&code).into_iter().filter(|n| !n.is_empty()).collect();
    assert_eq!(names, ["abi", "guard", "proto", "sys"]);
}
