//! Checks the table in src/lib.rs: which module may import which, and which must not contain unsafe code. Files must not import each
//! other in circles other than those listed here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

struct Module {
    imports: BTreeSet<String>,
    safe: bool,
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The rows of the table: name, job, modules that may be imported ("all" of them, or "-" for none).
fn table() -> BTreeMap<String, Module> {
    let text = fs::read_to_string(source().join("lib.rs")).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter_map(|l| l.strip_prefix("//! | "))
        .map(|l| l.trim_end_matches('|').split(" | ").map(str::trim).collect())
        .filter(|row: &Vec<&str>| row[0].contains('`'))
        .collect();
    let name = |row: &[&str]| row[0].trim_matches(|c| "[]`".contains(c)).to_string();
    let all: BTreeSet<String> = rows.iter().map(|r| name(r)).collect();
    let module = |row: &Vec<&str>| {
        let imports = match row[2] {
            "all" => all.clone(),
            "-" => BTreeSet::new(),
            list => list.split(',').map(|r| r.trim().trim_matches('`').to_string()).collect(),
        };
        assert!(imports.is_subset(&all), "{row:?} names an unknown module");
        (name(row), Module { imports, safe: row[1].contains("no unsafe") })
    };
    rows.iter().map(module).collect()
}

/// The code without comments and string literals.
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

/// The first names after `crate::`, also in braces.
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

/// The module of a file, and its code.
fn each(mut visit: impl FnMut(&str, &Path, &str)) {
    let mut seen = 0;
    for path in files(&source()) {
        let inside = path.strip_prefix(source()).unwrap();
        if inside == Path::new("lib.rs") {
            continue;
        }
        let module = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        visit(module.trim_end_matches(".rs"), inside, &code(&fs::read_to_string(&path).unwrap()));
        seen += 1;
    }
    assert!(seen > 20, "only {seen} files found");
}

#[test]
fn modules_import_what_the_table_allows() {
    let modules = table();
    let mut bad = Vec::new();
    each(|module, file, code| {
        let Some(allowed) = modules.get(module) else {
            bad.push(format!("{}: its module is not in the table", file.display()));
            return;
        };
        for name in imported(code) {
            if modules.contains_key(&name) && name != module && !allowed.imports.contains(&name) {
                bad.push(format!("{}: {module} may not import {name}", file.display()));
            }
        }
    });
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// Names reserved for `platform` and the modules at the boundary to C and to functions of the application.
#[test]
fn only_platform_names_the_operating_system() {
    let free_of_it = ["net", "handler", "proto", "hash", "fmt", "tls"];
    let names = ["libc::", "mio::", "std::net", "std::fs", "std::time", "std::os", "std::process", "std::thread"];
    let mut bad = Vec::new();
    each(|module, file, code| {
        // Tests may use anything.
        let code = without_tests(file, code);
        for name in names.iter().filter(|name| free_of_it.contains(&module) && code.contains(*name)) {
            bad.push(format!("{}: {module} names {name}", file.display()));
        }
    });
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// The code that goes into the library.
fn without_tests<'a>(file: &Path, code: &'a str) -> &'a str {
    let is_test = file.ends_with("tests.rs") || file.ends_with("float_and_c.rs");
    if is_test { "" } else { code.split("#[cfg(test)]\nmod ").next().unwrap() }
}

#[test]
fn safe_modules_have_no_unsafe_code() {
    let modules = table();
    assert!(["proto", "hash", "tls"].iter().all(|module| modules[*module].safe));
    let mut bad = Vec::new();
    each(|module, file, code| {
        let is_unsafe = code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe");
        if is_unsafe && modules.get(module).is_some_and(|r| r.safe) {
            bad.push(file.display().to_string());
        }
    });
    assert!(bad.is_empty(), "unsafe code in {}", bad.join(", "));
}

/// Counts unsafe blocks and impls of unsafe traits. Unsafe functions contain blocks themselves.
fn unsafe_blocks(code: &str) -> usize {
    let words = code.match_indices("unsafe").filter(|(at, _)| {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        !code[..*at].ends_with(is_part) && !code[at + 6..].starts_with(is_part)
    });
    words.filter(|(at, _)| code[at + 6..].trim_start().starts_with('{') || word(&code[at + 6..]) == "impl").count()
}

/// The number allowed in each module, its unit tests left out: lower it when the count falls.
const UNSAFE: &str = include_str!("unsafe.tsv");

#[test]
fn unsafe_blocks_match_the_table() {
    let mut counts = BTreeMap::<String, usize>::new();
    each(|module, file, code| *counts.entry(module.to_string()).or_default() += unsafe_blocks(without_tests(file, code)));
    let allowed: BTreeMap<String, usize> =
        UNSAFE.lines().filter_map(|l| l.split_once('\t')).map(|(module, n)| (module.to_string(), n.parse().unwrap())).collect();
    println!("unsafe blocks by module:");
    for (module, n) in &counts {
        println!("{module}\t{n}");
    }
    println!("all\t{}", counts.values().sum::<usize>());
    assert_eq!(counts, allowed, "the numbers differ from c-tests/unsafe.tsv; if they fell, write the new numbers there");
}

#[test]
fn unsafe_blocks_are_counted_correctly() {
    let text = "unsafe fn f() { unsafe { g() } } // unsafe {\nunsafe impl Send for T {} let s = \"unsafe {\"; unsafe extern \"C\" {} not_unsafe{}";
    assert_eq!(unsafe_blocks(&code(text)), 2);
}

#[test]
fn imports_are_found() {
    let code = code(
        "use crate::{abi::{mg_str, mg_addr}, guard::{bytes, heap},\n    sys,\n}; // crate::net\nfn f() { crate::proto::url::host(\"crate::hash\"); }",
    );
    let names: Vec<String> = imported(&code).into_iter().filter(|n| !n.is_empty()).collect();
    assert_eq!(names, ["abi", "guard", "proto", "sys"]);
}

// ---- import circles

/// Files that may import each other in a circle. The rest of `src` forms a hierarchy.
const CIRCLES: [(&[&str], &str); 4] = [
    (
        &["net/engine", "net/handle", "net/protocol", "net/tls/table"],
        "one definition in four files: a connection is a handle to its record, and the record refers to its protocol and TLS layer \
        through functions that take the connection",
    ),
    (
        &["net/attempts", "net/conn", "net/resolve"],
        "connecting is a cycle: names lead to addresses, addresses to attempts, and failed attempts to more addresses",
    ),
    (
        &["handler/http", "handler/reply", "handler/ws"],
        "a complete response admits the next request, and a request may be answered by the library or become a WebSocket",
    ),
    (
        &[
            "platform/tcpip/interface",
            "platform/tcpip/ip6",
            "platform/tcpip/link",
            "platform/tcpip/stack",
            "platform/tcpip/tcp",
            "platform/tcpip/udp",
        ],
        "one stack in a file per protocol: it holds the sockets and states that each defines, and each implements a part of it",
    ),
];

/// The modules of `src` by path, such as `net/engine`; `net/mod.rs` is `net`.
fn modules() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    each(|_, file, code| {
        let name = file.with_extension("").display().to_string();
        let own = ["#[cfg(test)]\nmod tests", "#[cfg(test)]\npub(crate) mod"].iter().filter_map(|s| code.find(s)).min();
        all.insert(name.trim_end_matches("/mod").to_string(), code[..own.unwrap_or(code.len())].to_string());
    });
    all
}

/// The paths of the `use` tree or expression that begins here. `prefix` has the segments before it.
fn paths<'a>(mut s: &'a str, prefix: &[&'a str], found: &mut Vec<Vec<&'a str>>) -> &'a str {
    let mut path = prefix.to_vec();
    loop {
        s = s.trim_start();
        if let Some(mut group) = s.strip_prefix('{') {
            loop {
                group = group.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
                let Some(c) = group.chars().next() else { return group };
                if c == '}' {
                    return &group[1..];
                }
                let rest = paths(group, &path, found);
                group = if rest.len() < group.len() { rest } else { &group[c.len_utf8()..] };
            }
        }
        let segment = word(s);
        if segment.is_empty() {
            found.push(path);
            return s;
        }
        path.push(segment);
        s = &s[segment.len()..];
        match s.strip_prefix("::") {
            Some(rest) => s = rest,
            None => {
                found.push(path);
                return s;
            }
        }
    }
}

/// The modules that a module names through `crate::`, `super::` and `self::`. A folder's mod.rs and its own files that it re-exports
/// count as one namespace.
fn names_of<'a>(name: &str, code: &str, all: &'a BTreeMap<String, String>) -> BTreeSet<&'a str> {
    let own: Vec<&str> = name.split('/').collect();
    let is_folder = source().join(name).join("mod.rs").exists();
    let mut found = Vec::new();
    for (start, len) in [("crate::", 0), ("super::", own.len() - 1), ("self::", own.len())] {
        for (at, _) in code.match_indices(start) {
            if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                paths(&code[at + start.len()..], &own[..len], &mut found);
            }
        }
    }
    let mut names = BTreeSet::new();
    for path in found {
        let mut steps: Vec<&str> = Vec::new();
        for step in path {
            if step == "super" { _ = steps.pop() } else { steps.push(step) }
        }
        let target = (1..=steps.len()).rev().find_map(|n| all.get_key_value(&steps[..n].join("/")));
        if let Some((target, _)) = target.filter(|(t, _)| *t != name && !(is_folder && t.starts_with(&format!("{name}/")))) {
            names.insert(target.as_str());
        }
    }
    names
}

/// The sets of modules that reach each other.
fn circles(all: &BTreeMap<String, String>) -> Vec<Vec<String>> {
    let direct: BTreeMap<&str, BTreeSet<&str>> =
        all.iter().map(|(name, code)| (name.as_str(), names_of(name, code, all))).collect();
    let reach = |from: &str| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&str> = direct[from].iter().copied().collect();
        while let Some(name) = next.pop() {
            if seen.insert(name) {
                next.extend(&direct[name]);
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> = direct.keys().map(|name| (*name, reach(name))).collect();
    let mut found: Vec<Vec<String>> = Vec::new();
    for (name, seen) in &reached {
        if seen.contains(name) && !found.iter().flatten().any(|n| n == name) {
            found.push(seen.iter().filter(|other| reached[*other].contains(name)).map(|n| n.to_string()).collect());
        }
    }
    found
}

#[test]
fn import_circles_are_listed() {
    let found = circles(&modules());
    let mut bad = Vec::new();
    for circle in &found {
        match CIRCLES.iter().find(|(files, _)| circle.iter().all(|f| files.contains(&f.as_str()))) {
            Some((_, why)) => println!("{}: {why}", circle.join(", ")),
            None => bad.push(format!("these files import each other in a circle: {}", circle.join(", "))),
        }
    }
    for (files, _) in CIRCLES {
        let is_whole = found.iter().any(|circle| circle.iter().eq(files));
        if !is_whole {
            bad.push(format!("{} no longer form a circle: reduce the entry", files.join(", ")));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn circles_are_found() {
    let all: BTreeMap<String, String> = [
        ("net", ""),
        ("net/a", "use super::{b::{self, B}, c};"),
        ("net/b", "fn f() { crate::handler::x::y(); }"),
        ("net/c", "use super::b::B;"),
        ("handler/x", "use crate::{fmt, net::{c, a::A}};"),
        ("fmt", ""),
        ("fmt/p", "fn f() { super::super::fmt::q() }"),
    ]
    .map(|(name, code)| (name.to_string(), code.to_string()))
    .into();
    assert_eq!(circles(&all), [["handler/x", "net/a", "net/b", "net/c"]]);
}

#[test]
fn architecture_lists_the_files_of_net_and_tcpip() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md")).unwrap();
    for folder in ["net", "platform/tcpip"] {
        let section = text.split("\n## ").find(|s| s.starts_with(&format!("The files of `{folder}`\n"))).unwrap();
        let listed: BTreeSet<String> = section
            .lines()
            .filter_map(|l| l.strip_prefix("| `")?.split_once("` |"))
            .filter(|(_, job)| job.trim_matches([' ', '|']).len() > 10)
            .map(|(name, _)| name.to_string())
            .collect();
        let dir = source().join(folder);
        let files: BTreeSet<String> =
            files(&dir).iter().map(|p| p.strip_prefix(&dir).unwrap().to_str().unwrap().to_string()).collect();
        let missing: Vec<_> = files.iter().filter(|f| !f.ends_with("mod.rs") && !listed.contains(*f)).collect();
        assert!(missing.is_empty(), "docs/architecture.md has no row for {missing:?} of src/{folder}");
        let gone: Vec<_> = listed.iter().filter(|f| f.ends_with(".rs") && !files.contains(*f)).collect();
        assert!(gone.is_empty(), "docs/architecture.md has rows for {gone:?}, which do not exist in src/{folder}");
    }
}
