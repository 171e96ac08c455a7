//! The header: the committed one matches the Rust sources, and header and library have the same symbols.

use cbindgen::{Bindings, Builder, Config};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[allow(unreachable_pub)] // shared with other tests
#[path = "run/linked.rs"]
mod linked;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(root(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Where mongoose_ext.h comes from.
const EXTENSION: [&str; 7] = [
    "src/abi/ext.rs",
    "src/ffi/drain.rs",
    "src/ffi/ext.rs",
    "src/ffi/ext_action.rs",
    "src/ffi/ext_const.rs",
    "src/ffi/ext_message.rs",
    "src/ffi/group.rs",
];

/// Functions of the names of macros, which include/preamble_ext.h declares.
const MACROS: &str = "src/ffi/ext_symbols.rs";

/// Functions that a library with the feature `tcpip` has, and the header with MG_ENABLE_TCPIP.
const TCPIP: &str = "src/ffi/tcpip.rs";

/// cbindgen follows the `mod` lines of the first file. The extension functions have a header of their own.
fn sources() -> Vec<String> {
    let mut files = vec!["src/abi/mod.rs".to_string()];
    let areas = read("src/ffi/mod.rs");
    let extension = |m: &&str| {
        let file = format!("src/ffi/{m}.rs");
        file == MACROS || EXTENSION.contains(&file.as_str())
    };
    let names = areas.lines().filter_map(|l| l.strip_prefix("mod ")?.strip_suffix(';')).filter(|m| !extension(m));
    files.extend(names.map(|m| format!("src/ffi/{m}.rs")));
    files
}

/// Every `fn name` of a source file.
fn functions(file: &str) -> BTreeSet<String> {
    let name = |l: &str| Some(l.split_once("fn ")?.1.split_once('(')?.0.to_string());
    fs::read_to_string(root(file)).unwrap_or_default().lines().filter_map(name).filter(|n| n.starts_with("mg")).collect()
}

/// What the Rust half of `src/fmt/variadic.c` offers to the C half.
fn private_functions() -> Vec<String> {
    let areas = fs::read_dir(root("src/ffi")).unwrap().map(|e| format!("src/ffi/{}", e.unwrap().file_name().to_string_lossy()));
    areas.flat_map(|f| functions(&f)).filter(|n| n.starts_with("mgc_")).collect()
}

fn bindings(files: &[String]) -> Bindings {
    let mut config = Config::from_file(root("include/cbindgen.toml")).unwrap();
    config.export.exclude.extend(private_functions());
    let top = format!(
        "// The mg_* API, version 7.22, of libmongoose-rs. Generated from its Rust sources: see include/cbindgen.toml.\n\n\
         #ifndef MONGOOSE_H\n#define MONGOOSE_H\n\n{}",
        read("include/preamble.h")
    );
    let mut builder = Builder::new()
        .with_config(config)
        .with_header(top)
        .with_trailer(read("include/tcpip.h") + &read("include/trailer.h") + &read("include/compat.h") + "\n#endif\n");
    for file in files {
        builder = builder.with_src(root(file));
    }
    builder.generate().unwrap()
}

/// The extension's header. cbindgen sees its own types only, so `struct` is put before those of mongoose.h here, and the two
/// functions that take an enumerator by number get its type.
fn extension() -> String {
    let mut config = Config::from_file(root("include/cbindgen.toml")).unwrap();
    config.export.include = ["mgx_event", "mgx_flag"].map(String::from).to_vec();
    config.export.exclude = vec!["mgx_options".into()];
    let mut builder = Builder::new().with_config(config).with_header(read("include/preamble_ext.h")).with_trailer("\n#endif\n");
    for file in EXTENSION {
        builder = builder.with_src(root(file));
    }
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    let mut text = String::from_utf8(text).unwrap();
    for name in [
        "mg_connection",
        "mg_http_message",
        "mg_mgr",
        "mg_mqtt_message",
        "mg_rpc_req",
        "mg_str",
        "mg_timer",
        "mg_ws_message",
        "mgx_options",
    ] {
        for place in ["", "const ", "("] {
            for before in [" ", "(", "\n"] {
                text = text.replace(&format!("{before}{place}{name} *"), &format!("{before}{place}struct {name} *"));
            }
        }
    }
    text.replace("int flag", "enum mgx_flag flag").replace("(mg_str ", "(struct mg_str ")
}

/// Lines that are different for programs of earlier 7.x versions: where they stand, the version that dropped them, and what they were
/// then. Members have both names, in a union without a name and with the same layout.
const EARLIER: &[(&str, &str, u32, &str)] = &[
    ("struct mg_str {", "  char *buf;", 715, "  MGX_ALSO { const char *ptr; char *buf; };"),
    (
        "struct mg_addr {",
        "  union mg_addr_bytes addr;",
        712,
        "  MGX_ALSO { union mg_addr_bytes addr; uint32_t ip; uint8_t ip6[16]; };",
    ),
    ("struct mg_addr {", "  union mg_addr_bytes addr;", 722, "  MGX_ALSO { union mg_addr_bytes addr; uint8_t ip[16]; };"),
    (
        "typedef void (*mg_event_handler_t)",
        "typedef void (*mg_event_handler_t)(struct mg_connection*, int, void*);",
        714,
        "typedef void (*mg_event_handler_t)(struct mg_connection*, int, void*, void*);",
    ),
    ("struct mg_connection {", "  struct mg_addr rem;", 706, "  MGX_ALSO { struct mg_addr rem; struct mg_addr peer; };"),
    (
        "struct mg_connection {",
        "  char data[MG_DATA_SIZE];",
        710,
        "  MGX_ALSO { char data[MG_DATA_SIZE]; char label[MG_DATA_SIZE]; };",
    ),
    ("struct mg_http_message {", "  struct mg_str message;", 714, "  MGX_ALSO { struct mg_str message; struct mg_str chunk; };"),
    ("struct mg_mqtt_opts {", "  struct mg_str topic;", 711, "  MGX_ALSO { struct mg_str topic; struct mg_str will_topic; };"),
    (
        "struct mg_mqtt_opts {",
        "  struct mg_str message;",
        711,
        "  MGX_ALSO { struct mg_str message; struct mg_str will_message; };",
    ),
    ("struct mg_mqtt_opts {", "  uint8_t qos;", 711, "  MGX_ALSO { uint8_t qos; uint8_t will_qos; };"),
    ("struct mg_mqtt_opts {", "  bool retain;", 711, "  MGX_ALSO { bool retain; bool will_retain; };"),
    (
        "struct mg_tls_opts {",
        "  struct mg_str ca;",
        722,
        "  MGX_ALSO { struct mg_str ca; struct mg_str client_ca; struct mg_str server_ca; };",
    ),
    (
        "struct mg_tls_opts {",
        "  struct mg_str cert;",
        722,
        "  MGX_ALSO { struct mg_str cert; struct mg_str srvcert; struct mg_str server_cert; struct mg_str client_cert; };",
    ),
    (
        "struct mg_tls_opts {",
        "  struct mg_str key;",
        722,
        "  MGX_ALSO { struct mg_str key; struct mg_str certkey; struct mg_str srvkey; struct mg_str server_key; struct mg_str client_key; };",
    ),
    ("struct mg_tls_opts {", "  struct mg_str name;", 722, "  MGX_ALSO { struct mg_str name; struct mg_str srvname; };"),
];

/// An array whose size an application chooses. One that does not fit in its usual place comes last, so nothing that the library uses
/// moves.
struct Sized {
    place: &'static str,
    /// The member's first and last line.
    lines: [&'static str; 2],
    setting: &'static str,
    usual: u32,
    /// What stands in the usual place then.
    stand_in: &'static str,
    /// What aligns the member at the end. (On 64-bit machines the usual place of c->data is at a multiple of 16 bytes.)
    aligns: Option<&'static str>,
}

const SIZED: &[Sized] = &[
    Sized {
        place: "struct mg_connection {",
        lines: ["#if MGX_COMPAT_7 < 710", "#endif"],
        setting: "MG_DATA_SIZE",
        usual: 32,
        stand_in: "char mgx_unused_data",
        aligns: Some("  void *mgx_aligns[2];"),
    },
    Sized {
        place: "struct mg_http_message {",
        lines: ["  struct mg_http_header headers[MG_MAX_HTTP_HEADERS];"; 2],
        setting: "MG_MAX_HTTP_HEADERS",
        usual: 30,
        stand_in: "struct mg_http_header mgx_unused_headers",
        aligns: None,
    },
];

fn with_chosen_sizes(text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    for Sized { place, lines: [first, last], setting, usual, stand_in, aligns } in SIZED {
        let find = |from: usize, line: &str| {
            from + lines[from..].iter().position(|l| l.starts_with(line)).unwrap_or_else(|| panic!("no {line} in {place}"))
        };
        let start = find(0, place);
        let from = find(start, first);
        let (to, end) = (find(from, last), find(start, "};"));
        let member = lines[from..=to].to_vec();
        let mut at_the_end = vec![format!("#if {setting} > {usual}")];
        at_the_end.extend(aligns.map(String::from));
        at_the_end.extend(member.iter().cloned());
        at_the_end.push("#endif".to_string());
        lines.splice(end..end, at_the_end);
        let mut in_place = vec![format!("#if {setting} <= {usual}")];
        in_place.extend(member);
        in_place.extend(["#endif".to_string(), format!("#if {setting} != {usual}")]);
        in_place.push(format!("  {stand_in}[{setting} < {usual} ? {usual} - {setting} : {usual}];"));
        in_place.push("#endif".to_string());
        lines.splice(from..=to, in_place);
    }
    lines.join("\n") + "\n"
}

fn for_earlier_versions(text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    // The last version first: it is the #else of those before it.
    for (place, line, before, earlier) in EARLIER.iter().rev() {
        let from = lines.iter().position(|l| l.starts_with(place)).unwrap_or_else(|| panic!("no {place}"));
        let at = from + lines[from..].iter().position(|l| l == line).unwrap_or_else(|| panic!("no {line} in {place}"));
        // Inside the alternative that a later version has made already.
        if at > 0 && lines[at - 1] == "#else" {
            lines[at] = line.to_string();
            let start = at - 3;
            lines[start] = lines[start].replacen("#if", "#elif", 1);
            lines.splice(start..start, [format!("#if MGX_COMPAT_7 < {before}"), earlier.to_string()]);
        } else {
            lines.splice(at..at, [format!("#if MGX_COMPAT_7 < {before}"), earlier.to_string(), "#else".into()]);
            let endif = at + 3;
            lines[endif] = line.to_string();
            lines.insert(endif + 1, "#endif".into());
        }
    }
    lines.join("\n") + "\n"
}

/// Takes out the empty lines between `#define NAME <number>` lines.
fn join_constants(text: &str) -> String {
    let constant = |l: &str| l.starts_with("#define ") && l.rsplit(' ').next().unwrap().parse::<i32>().is_ok();
    let lines: Vec<&str> = text.lines().collect();
    let between =
        |i: usize| lines[i].is_empty() && i > 0 && i + 1 < lines.len() && constant(lines[i - 1]) && constant(lines[i + 1]);
    (0..lines.len()).filter(|&i| !between(i)).map(|i| lines[i].to_string() + "\n").collect()
}

/// Run with MONGOOSE_WRITE_HEADER=1 to write the header instead.
#[test]
fn header_is_current() {
    let mut text = Vec::new();
    bindings(&sources()).write(&mut text);
    let text = with_chosen_sizes(&for_earlier_versions(&join_constants(&String::from_utf8(text).unwrap())));
    let path = root("include/mongoose.h");
    if std::env::var_os("MONGOOSE_WRITE_HEADER").is_some() {
        fs::write(path, text).unwrap();
        return;
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    let differs = text.lines().zip(committed.lines()).position(|(a, b)| a != b);
    assert!(
        text == committed,
        "include/mongoose.h is out of date from line {:?} on; regenerate it with MONGOOSE_WRITE_HEADER=1 cargo test --test header",
        differs.map(|n| n + 1)
    );
}

#[test]
fn extension_header_is_current() {
    let path = root("include/mongoose_ext.h");
    if std::env::var_os("MONGOOSE_WRITE_HEADER").is_some() {
        fs::write(path, extension()).unwrap();
        return;
    }
    assert!(
        extension() == fs::read_to_string(path).unwrap_or_default(),
        "include/mongoose_ext.h is out of date; regenerate it with MONGOOSE_WRITE_HEADER=1 cargo test --test header"
    );
}

/// The functions and data that the header takes from these sources.
fn declared(files: &[String]) -> BTreeSet<String> {
    bindings(files).dynamic_symbols_names().map(String::from).collect()
}

/// Those of functions.tsv in the section with this heading.
fn undeclared() -> BTreeSet<String> {
    let table = read("c-tests/abi/functions.tsv");
    let section = table.split("\n# ").find(|s| s.contains("public header does not declare them")).unwrap();
    section.lines().skip(1).map(|l| l.split('\t').nth(1).unwrap().to_string()).collect()
}

/// Functions of earlier versions that programs define: include/compat.h declares them.
const EARLIER_FUNCTIONS: [&str; 2] = ["mg_unlist", "mg_unpack"];

/// Symbols that the shared library offers.
fn exported() -> BTreeSet<String> {
    let library = linked::shared_dir().join("libmongoose.so");
    let nm = Command::new("nm").args(["-D", "--defined-only"]).arg(&library).output().expect("nm (Debian package: binutils)");
    assert!(nm.status.success(), "nm {}: {}", library.display(), String::from_utf8_lossy(&nm.stderr));
    let names = String::from_utf8(nm.stdout).unwrap();
    names
        .lines()
        .filter(|l| !l.ends_with(" MONGOOSE_7"))
        .map(|l| l.split_whitespace().last().unwrap().split('@').next().unwrap().to_string())
        .collect()
}

fn list(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn exports_match_header() {
    let earlier = EARLIER_FUNCTIONS.map(String::from);
    let wanted = &(&declared(&sources()) | &undeclared())
        | &EXTENSION.iter().chain([&MACROS]).flat_map(|f| functions(f)).chain(earlier).collect();
    let wanted = &wanted - &functions(TCPIP);
    let exported = exported();
    let missing = list((&wanted - &exported).into_iter());
    let extra = list((&exported - &wanted).into_iter());
    assert!(missing.is_empty() && extra.is_empty(), "declared but not exported: {missing}\nexported but not declared: {extra}");
}

/// The header declares all of functions.tsv once, and nothing else.
#[test]
fn header_is_complete() {
    let hidden = undeclared();
    let by_program = BTreeSet::from(["mg_packed_files".to_string()]);
    let table: BTreeSet<String> = read("c-tests/abi/functions.tsv")
        .lines()
        .filter(|l| !l.starts_with('#') && !l.starts_with("area\t"))
        .map(|l| l.split('\t').nth(1).unwrap().to_string())
        .collect();
    let wanted = &(&table - &hidden) - &by_program;
    let bindings = bindings(&sources());
    let mut declared = BTreeSet::new();
    let twice = list(bindings.dynamic_symbols_names().map(String::from).filter(|n| !declared.insert(n.clone())));
    assert!(twice.is_empty(), "declared twice: {twice}");
    let declared = &declared - &functions(TCPIP);
    let (missing, extra) = (list((&wanted - &declared).into_iter()), list((&declared - &wanted).into_iter()));
    assert!(missing.is_empty() && extra.is_empty(), "not declared: {missing}\nnot in functions.tsv: {extra}");
}

/// What include/mongoose_port.h and the library say of the functions that a program brings: prototypes and constants.
#[test]
fn port_header_is_what_the_library_calls() {
    let (header, library) = (read("include/mongoose_port.h"), read("src/platform/port/c.rs"));
    let in_rust = |c: &str| {
        let c = c.trim();
        let pointer = match (c.contains("struct mgx_port_addr"), c.starts_with("const "), c.ends_with('*')) {
            (true, true, _) => "&",
            (true, false, _) => "&mut ",
            (false, true, _) => "*const ",
            (false, false, true) => "*mut ",
            _ => "",
        };
        let kind = c.trim_end_matches('*');
        let kind = kind.trim_start_matches("const ").trim_start_matches("struct ").trim();
        let kind = match kind {
            "int" => "c_int",
            "void" if !pointer.is_empty() => "c_void",
            "size_t" | "uintptr_t" => "usize",
            "uint32_t" => "u32",
            other => other,
        };
        format!("{pointer}{kind}")
    };
    let split = |text: &str| text.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
    let from_c = header.lines().filter(|l| l.ends_with(");") && l.contains(" mgx_port_") && !l.starts_with("//")).map(|l| {
        let (before, arguments) = l.trim_end_matches(");").split_once('(').unwrap();
        let (result, name) = before.split_at(split(before));
        let types: Vec<String> =
            arguments.split(", ").filter(|a| *a != "void").map(|a| in_rust(a.split_at(split(a)).0)).collect();
        format!("{name}({}) {}", types.join(", "), in_rust(result))
    });
    let is_declared = |l| str::trim(l).strip_prefix("pub(super) ")?.trim_start_matches("safe ").strip_prefix("fn mgx_port_");
    let from_rust = library.lines().filter_map(is_declared).map(|l| {
        let (name, rest) = l.trim_end_matches(';').split_once('(').unwrap();
        let (arguments, result) = rest.split_once(')').unwrap();
        let types: Vec<&str> = arguments.split(", ").filter_map(|a| Some(a.split_once(": ")?.1)).collect();
        format!("mgx_port_{name}({}) {}", types.join(", "), result.strip_prefix(" -> ").unwrap_or("void"))
    });
    let (c, rust): (BTreeSet<String>, BTreeSet<String>) = (from_c.collect(), from_rust.collect());
    assert!(c.len() > 20 && c == rust, "only in the header: {:?}\nonly in the library: {:?}", &c - &rust, &rust - &c);

    let in_header = |name: &str| {
        let line = header.lines().find_map(|l| l.strip_prefix(&format!("#define {name} ")))?;
        line.split("//").next().unwrap().trim().trim_matches(['(', ')']).parse::<i32>().ok()
    };
    let constants =
        library.lines().filter_map(|l| l.strip_prefix("pub(super) const MGX_PORT_")?.trim_end_matches(';').split_once(" = "));
    let mut n = 0;
    for (name, value) in constants {
        let name = format!("MGX_PORT_{}", name.split(':').next().unwrap());
        assert_eq!(in_header(&name), value.parse().ok(), "{name}");
        n += 1;
    }
    assert!(n > 20, "{n} constants");
}
