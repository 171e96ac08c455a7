//! Compiles mongoose.h with several compilers: no warning in any language version, every prototype, constant, size and offset
//! of the tables in c-tests/abi, and the compile-time switches.

use crate::{
    programs::generated,
    tools::{root, run, scratch, succeed, tool},
};
use libtest_mimic::{Failed, Trial};
use std::{fmt::Write, fs, path::Path, process::Command, time::Duration};

const STRICT: &[&str] = &[
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-pedantic",
    "-Werror",
    "-W",
    "-Wshadow",
    "-Wdouble-promotion",
    "-fno-common",
    "-Wconversion",
    "-Wundef",
];
const STRICT_C: &[&str] = &["-Wmissing-prototypes", "-Wstrict-prototypes"];
const COMPILERS: &[(&str, &[&str])] = &[("gcc", STRICT_C), ("clang", STRICT_C), ("g++", &["-xc++"]), ("clang++", &["-xc++"])];
const C_STANDARDS: &[&[&str]] = &[&["-std=c99"], &["-std=c99", "-D_GNU_SOURCE"], &["-std=c11"], &["-std=gnu17"]];
const CXX_STANDARDS: &[&[&str]] = &[&["-std=c++11"], &["-std=c++17"], &["-std=c++20"]];

/// The rows of a table, without comments and the line of column names.
fn table(name: &str, visit: impl FnMut(&[&str])) {
    let text = fs::read_to_string(root("c-tests/abi").join(name)).unwrap();
    let rows = text.lines().filter(|l| !l.starts_with('#')).skip(1);
    rows.map(|l| l.split('\t').collect::<Vec<_>>()).for_each({
        let mut visit = visit;
        move |row| visit(&row)
    });
}

/// One pointer per function, of the type that functions.tsv gives; one pointer per datum.
fn prototypes() -> String {
    const NOT_IN_HEADER: &[&str] = &["mg_dnsc_init", "mg_getlocaddr", "mg_http_etag", "mg_multicast_add", "mg_to_size_t"];
    // As a macro with an argument, mg_str would take the parentheses of a pointer to a function returning struct mg_str for its own.
    let mut c = String::from("#undef mg_str\n");
    table("functions.tsv", |row| {
        let &[area, name, prototype] = row else { panic!("{row:?}") };
        if NOT_IN_HEADER.contains(&name) {
            return;
        }
        let declaration = prototype.trim_end_matches(';').trim_start_matches("extern ");
        let (result, pointer) = if area != "data" {
            (declaration.replacen(&format!("{name}("), &format!("(*check_{name})("), 1), format!("&{name}"))
        } else if let Some(element) = declaration.strip_suffix("[]") {
            (element.replace(name, &format!("*check_{name}")), format!("&{name}[0]"))
        } else {
            (declaration.replace(name, &format!("*check_{name}")), format!("&{name}"))
        };
        assert!(result.contains("check_"), "{prototype}");
        writeln!(c, "extern {result};\n{result} = {pointer};").unwrap();
    });
    c
}

/// The table is for Linux; these differ on Windows.
const OF_UNIX: [&str; 5] = ["MG_ARCH", "MG_ENABLE_EPOLL", "MG_ENABLE_POLL", "MG_INVALID_SOCKET", "MG_PATH_MAX"];

/// Integers must be usable by the preprocessor too, unless they are enumerators.
fn constants() -> String {
    let mut c = String::new();
    table("constants.tsv", |row| {
        let &[name, value, kind] = row else { panic!("{row:?}") };
        if value.starts_with('"') {
            writeln!(c, "ABI_ASSERT(sizeof({name}) == sizeof({value}));\nABI_TEXT({name}, {value})").unwrap();
            return;
        }
        if OF_UNIX.contains(&name) {
            c.push_str("#ifndef _WIN32\n");
        }
        writeln!(c, "ABI_ASSERT({name} == {value});").unwrap();
        if kind == "macro" {
            writeln!(c, "#if {name} != {value}\n#error {name}\n#endif").unwrap();
        }
        if OF_UNIX.contains(&name) {
            c.push_str("#endif\n");
        }
        if let Some(tag) = kind.strip_prefix("enum ").filter(|t| !t.starts_with('(')) {
            writeln!(c, "ABI_ASSERT((int) (enum {tag}) {name} == {value});").unwrap();
        }
    });
    c
}

fn layout() -> String {
    let mut c = String::new();
    table("layout-x86_64-linux.tsv", |row| {
        let &[of, field, kind, offset, size, bit_offset, bit_width] = row else { panic!("{row:?}") };
        let typedef = of.ends_with("_ctx");
        let keyword = if of == "mg_pipe" { "union " } else { "struct " };
        let of = format!("{}{of}", if typedef { "" } else { keyword });
        if field == "(sizeof)" {
            writeln!(c, "ABI_ASSERT(sizeof({of}) == {size});").unwrap();
        } else if !bit_width.is_empty() {
            writeln!(c, "ABI_BITS({of}, {field}, {bit_offset}, {bit_width})").unwrap();
        } else {
            writeln!(c, "ABI_ASSERT(offsetof({of}, {field}) == {offset});").unwrap();
            // Only on Linux does a `long` have 8 bytes.
            let size = if kind.contains("long") && !kind.contains('*') { &format!("sizeof({kind})") } else { size };
            writeln!(c, "ABI_ASSERT(sizeof((({of} *) 0)->{field}) == {size}); // {kind}").unwrap();
        }
    });
    c
}

/// For c-tests/abi.c, and for the trials below.
pub fn generate() {
    let dir = generated();
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("abi_prototypes.h"), prototypes()).unwrap();
    fs::write(dir.join("abi_constants.h"), constants()).unwrap();
    fs::write(dir.join("abi_layout.h"), layout()).unwrap();
}

const INCLUDE: &str = "#include \"mongoose.h\"\n#include \"mongoose.h\"\nstruct mg_str mg_str(const char *s);\n";
const ASSERTS: &str = "#include \"mongoose.h\"
#ifdef __cplusplus
#define ABI_ASSERT(cond) static_assert(cond, #cond)
#elif __STDC_VERSION__ >= 201112L
#define ABI_ASSERT(cond) _Static_assert(cond, #cond)
#else
#define ABI_JOIN(a, b) a##b
#define ABI_NAME(line) ABI_JOIN(abi_assert_, line)
#define ABI_ASSERT(cond) extern char ABI_NAME(__LINE__)[(cond) ? 1 : -1]
#endif
#define ABI_TEXT(name, value)
#define ABI_BITS(of, field, offset, width)
#include \"abi_constants.h\"
#if !defined(__cplusplus) || __cplusplus >= 201103L
#include \"abi_layout.h\"
#endif
";

/// mongoose_port.h, with the layouts that src/platform/port/c.rs asserts.
const PORT: &str = "#include \"mongoose_port.h\"
#include \"mongoose_port.h\"
extern char addr[sizeof(struct mgx_port_addr) == 20 && offsetof(struct mgx_port_addr, port) == 16 &&
                 offsetof(struct mgx_port_addr, is_ip6) == 19 ? 1 : -1];
extern char item[sizeof(struct mgx_port_item) == 8 && offsetof(struct mgx_port_item, got) == 5 ? 1 : -1];
";

/// mongoose_ext.h on its own, and an address of each of its functions.
fn extension() -> String {
    let header = fs::read_to_string(root("include/mongoose_ext.h")).unwrap();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    // The functions that an application without an operating system defines are declared for such applications only.
    let (before, rest) = header.split_once("#if !MGX_HOSTED").expect("that block");
    let after = rest.split_once("#endif\n\n").unwrap_or(("", rest)).1;
    let hosted = before.lines().chain(after.lines());
    let names = hosted.filter(|l| !l.starts_with("//") && !l.starts_with(' ')).filter_map(|l| {
        let before = l.split_once('(')?.0;
        Some(&before[before.rfind(|c| !is_name(c))? + 1..]).filter(|n| n.starts_with("mgx_"))
    });
    let mut c = String::from("#include \"mongoose_ext.h\"\n#include \"mongoose_ext.h\"\n");
    let mut count = 0;
    for name in names {
        writeln!(c, "extern void (*check_{name})(void);\nvoid (*check_{name})(void) = (void (*)(void)) &{name};").unwrap();
        count += 1;
    }
    assert!(count > 40, "{count} functions in mongoose_ext.h");
    c
}

fn compile(compiler: &str, flags: &[&str], source: &str, dir: &Path) -> Result<Command, String> {
    let path = dir.join("header.c");
    fs::write(&path, source).map_err(|e| e.to_string())?;
    let mut cc = tool(compiler)?;
    cc.args(flags).arg("-I").arg(root("include")).arg("-I").arg(generated());
    cc.arg("-c").arg(&path).arg("-o").arg(dir.join("header.o"));
    Ok(cc)
}

fn accept(name: String, compiler: &'static str, flags: Vec<&'static str>, source: String) -> Trial {
    Trial::test(name.clone(), move || {
        let dir = scratch(&name);
        succeed(compile(compiler, &flags, &source, &dir)?, &dir)?;
        Ok(())
    })
}

fn languages(all: &mut Vec<Trial>) {
    for &(compiler, more) in COMPILERS {
        let standards = if compiler.ends_with("++") { CXX_STANDARDS } else { C_STANDARDS };
        for standard in standards {
            let flags = [STRICT, more, standard].concat();
            let name = format!("header::{compiler} {}", standard.join(" "));
            all.push(accept(format!("{name}::tables"), compiler, flags.clone(), format!("{INCLUDE}{ASSERTS}")));
            let with_keys = [&flags[..], &["-DMG_TLS=MG_TLS_BUILTIN"]].concat();
            let source = format!("{INCLUDE}#include \"abi_prototypes.h\"\n");
            all.push(accept(format!("{name}::prototypes"), compiler, with_keys, source));
            all.push(accept(format!("{name}::extension"), compiler, flags.clone(), extension()));
            all.push(accept(format!("{name}::port"), compiler, flags, PORT.into()));
        }
    }
}

/// Switches that change nothing in the library, or take effect at run time, or name replaceable functions.
const ACCEPTED: &[&str] = &[
    "-DMG_ARCH=MG_ARCH_UNIX",
    "-DMG_DATA_SIZE=1",
    "-DMG_DATA_SIZE=33 -DMGX_COMPAT_7=707",
    "-DMG_DATA_SIZE=100000 -DMG_MAX_HTTP_HEADERS=10000",
    "-DMG_ENABLE_ASSERT=1",
    "-DMG_ENABLE_CHACHA20=0",
    "-DMG_ENABLE_CUSTOM_CALLOC",
    "-DMG_ENABLE_CUSTOM_DEVICE_ID=1",
    "-DMG_ENABLE_CUSTOM_LOG=1",
    "-DMG_ENABLE_CUSTOM_MILLIS=1",
    "-DMG_ENABLE_CUSTOM_RANDOM=1",
    "-DMG_ENABLE_DIRLIST=0",
    "-DMG_ENABLE_EPOLL=0 -DMG_ENABLE_POLL=1",
    "-DMG_ENABLE_IPV6=0",
    "-DMG_ENABLE_LINES",
    "-DMG_ENABLE_LOG=0",
    "-DMG_ENABLE_MD5=0",
    "-DMG_ENABLE_OPENSSL_X=1",
    "-DMG_ENABLE_PACKED_FS=0",
    "-DMG_ENABLE_POLL=1",
    "-DMG_ENABLE_POSIX_FS=0",
    "-DMG_ENABLE_SOCKET=1",
    "-DMG_ENABLE_SSI=1",
    "-DMG_ENABLE_TCPIP=0",
    "-DMG_ENABLE_WINSOCK=0",
    "-DMG_HTTP_ADDR=\"http://0.0.0.0:1\"",
    "-DMG_HTTP_DIRLIST_TIME_FMT=\"%Y\"",
    "-DMG_HTTP_INDEX=\"home.html\"",
    "-DMG_IO_SIZE=128",
    "-DMG_IO_SIZE=((size_t)65536)",
    "-DMG_IPV6_V6ONLY=1",
    "-DMG_JSON_MAX_DEPTH=30",
    "-DMG_MAX_HTTP_HEADERS=1",
    "-DMG_MAX_HTTP_HEADERS=31 -DMGX_COMPAT_7=700",
    "-DMG_MAX_RECV_SIZE=(1024*1024UL)",
    "-DMG_MAX_SSI_DEPTH=2",
    "-DMG_OTA=MG_OTA_CUSTOM",
    "-DMG_PATH_MAX=100",
    "-DMG_SOCK_LISTEN_BACKLOG_SIZE=3",
    "-DMG_SSI_BUFSIZ=100",
    "-DMG_TLS=MG_TLS_BUILTIN",
    "-DMG_TLS=MG_TLS_MBED",
    "-DMG_TLS=MG_TLS_NONE",
    "-DMG_TLS=MG_TLS_OPENSSL",
    "-DMG_TLS=MG_TLS_WOLFSSL",
    "-DMG_TLS_SSLKEYLOGFILE",
    "-DMGX_COMPAT_7=700",
    "-DMGX_COMPAT_7=707",
    "-DMGX_COMPAT_7=711",
    "-DMGX_COMPAT_7=713 -DMG_ENABLE_DIRLIST=0",
    "-DMGX_COMPAT_7=714",
    "-DMGX_COMPAT_7=722",
    "-DMGX_PORT=1 -DMG_ENABLE_LWIP=1 -DMG_ENABLE_FREERTOS=1",
    "-DMGX_PORT=1 -DMG_ARCH=MG_ARCH_ESP32 -DMG_ENABLE_FREERTOS_TCP=1 -DMG_ENABLE_RL=1",
    "-DMG_UECC_SUPPORTS_secp256k1=1",
];

/// Switches that a prebuilt library cannot follow, and what the error says beside their names.
const REFUSED: &[(&str, &str)] = &[
    ("MG_ARCH=MG_ARCH_ESP32", "MG_ARCH_UNIX"),
    ("MG_ARCH=MG_ARCH_WIN32", "MG_ARCH_UNIX"),
    ("MGX_COMPAT_7=7", "713 for 7.13"),
    ("MG_DASH_MAX_USER_NAME=33", "32"),
    ("MG_DATA_SIZE=0", "1 at least"),
    ("MG_ENABLE_FATFS=1", "0 in the library"),
    ("MG_ENABLE_FREERTOS=1", "0 in the library"),
    ("MG_ENABLE_FREERTOS_TCP=1", "0 in the library"),
    ("MG_ENABLE_LFS=1", "0 in the library"),
    ("MG_ENABLE_LWIP=1", "0 in the library"),
    ("MG_ENABLE_PROFILE=1", "0 in the library"),
    ("MG_ENABLE_RL=1", "0 in the library"),
    ("MG_ENABLE_SOCKET=0", "1 in the library"),
    ("MG_JSON_MAX_DEPTH=10", "30 in the library"),
    ("MG_MAX_HTTP_HEADERS=0", "from 1 to 10000"),
    ("MG_MAX_HTTP_HEADERS=10001", "from 1 to 10000"),
    ("MG_OTA=MG_OTA_FLASH", "MG_OTA_NONE"),
    ("MG_OTA_FIRMWARE_VERSION=\"2.0.0\"", "1.0.0"),
    ("MG_OTA_MAX_VERSION_LEN=10", "64 in the library"),
    ("MG_OTA_PULL_INTERVAL_SECONDS=1", "mg_ota_url_check"),
    ("MG_OTA_ROLLBACK_TIMEOUT_SECONDS=1", "120 in the library"),
    ("MG_OTA_STATE_GET()=1", "fixed in the library"),
    ("MG_OTA_STATUS_FN=fn", "mg_ota_url_check"),
    ("MG_OTA_TLS_CA=\"\"", "not set in the library"),
    ("MG_OTA_URL=\"http://x/\"", "mg_ota_url_check"),
    ("MG_TLS=MG_TLS_CUSTOM", "mg_tls_init"),
];

/// Flags, and whether mg_mgr_init then passes them to the library.
const AT_RUN_TIME: &[(&str, bool)] = &[
    ("-DMG_TLS=MG_TLS_NONE", false),
    ("-DMG_ENABLE_DIRLIST=1", false),
    ("-DMG_ENABLE_DIRLIST=0", true),
    ("-DMG_ENABLE_LOG=0", true),
    ("-DMG_HTTP_INDEX=\"home.html\"", true),
    ("-DMG_IO_SIZE=65536", true),
    ("-DMG_IPV6_V6ONLY=1", true),
    ("-DMG_MAX_RECV_SIZE=1000", true),
    ("-DMG_SOCK_LISTEN_BACKLOG_SIZE=3", true),
    ("-DMG_TLS_SSLKEYLOGFILE=1", true),
];

fn switches(all: &mut Vec<Trial>) {
    let strict = |flags: &'static str| [STRICT, STRICT_C, &["-std=c99"], &flags.split(' ').collect::<Vec<_>>()[..]].concat();
    let program = "int main(void) {\n  struct mg_mgr mgr;\n  mg_mgr_init(&mgr);\n  MG_INFO((\"%d\", 1));\n  return 0;\n}\n";
    for &flags in ACCEPTED {
        all.push(accept(format!("switch::accepted {flags}"), "gcc", strict(flags), format!("{INCLUDE}{program}")));
    }
    for &(define, says) in REFUSED {
        let name = format!("switch::refused {define}");
        all.push(Trial::test(name.clone(), move || {
            let dir = scratch(&name);
            let flag = format!("-D{define}");
            let outcome = run(compile("gcc", &["-std=c99", &flag], INCLUDE, &dir)?, &dir, Duration::from_secs(60))?;
            let switch = define.split(['=', '(']).next().unwrap();
            let error = outcome.stderr.lines().find(|l| l.contains("#error"));
            match error {
                Some(e) if outcome.code != 0 && e.contains(switch) && e.contains(says) => Ok(()),
                _ => Err(format!("want an #error with {switch} and {says}\n{}", outcome.text()).into()),
            }
        }));
    }
    for &(flags, passes) in AT_RUN_TIME {
        let name = format!("switch::at_run_time {flags}");
        all.push(Trial::test(name.clone(), move || {
            let dir = scratch(&name);
            succeed(compile("gcc", &strict(flags), &format!("{INCLUDE}{program}"), &dir)?, &dir)?;
            let mut nm = tool("nm")?;
            nm.arg("-u").arg(dir.join("header.o"));
            let calls = succeed(nm, &dir)?.stdout.contains("mgx_mgr_options");
            if calls == passes { Ok(()) } else { Err(format!("calls mgx_mgr_options: {calls}").into()) }
        }));
    }
    all.push(Trial::test("switch::assert", assert_macro));
    all.push(Trial::test("switch::config_file_only_with_arch_custom", config_file));
}

/// `assert` checks with MG_ENABLE_ASSERT, and is empty without, unless the program has one; it may include assert.h later too.
fn assert_macro() -> Result<(), Failed> {
    let dir = scratch("switch-assert");
    let checks = "int main(int n, char **v) {\n  (void) v, (void) n;\n  assert(n == 77);\n  return 0;\n}\n";
    let own = "#define assert(x) ((x) ? (void) 0 : exit(5))\n";
    for (flags, before, after, code) in [
        (&["-DMG_ENABLE_ASSERT=1"][..], "", "", 134),
        (&["-DMG_ENABLE_ASSERT=0"], "", "", 0),
        (&[], "", "", 0),
        (&[], "#include <assert.h>\n", "", 134),
        (&[], "", "#include <assert.h>\n", 134),
        (&[], own, "", 5),
    ] {
        for compiler in ["gcc", "clang", "g++"] {
            let strict = [STRICT, flags, if compiler == "g++" { &["-xc++", "-std=c++17"] } else { STRICT_C }].concat();
            let source = format!("{before}#include \"mongoose.h\"\n{after}{checks}");
            succeed(compile(compiler, &strict, &source, &dir)?, &dir)?;
            let mut link = tool("gcc")?;
            link.arg(dir.join("header.o")).arg("-o").arg(dir.join("program"));
            succeed(link, &dir)?;
            let outcome = run(Command::new(dir.join("program")), &dir, Duration::from_secs(60))?;
            if outcome.code != code {
                return Err(format!("{compiler} {flags:?} {before}{after}: want {code}\n{}", outcome.text()).into());
            }
        }
    }
    Ok(())
}

/// mongoose_config.h is the program's, and read only when MG_ARCH says so.
fn config_file() -> Result<(), Failed> {
    let dir = scratch("switch-config_file");
    let include = format!("-I{}", dir.display());
    fs::write(dir.join("mongoose_config.h"), "#define MG_ENABLE_DIRLIST 0\n#define MG_FROM_CONFIG 1\n")?;
    let source = format!("{INCLUDE}#if MG_ENABLE_DIRLIST || !MG_FROM_CONFIG\n#error not read\n#endif\n");
    succeed(compile("gcc", &["-DMG_ARCH=MG_ARCH_CUSTOM", &include], &source, &dir)?, &dir)?;

    fs::write(dir.join("mongoose_config.h"), "#error read\n")?;
    succeed(compile("gcc", &[&include], INCLUDE, &dir)?, &dir)?;
    Ok(())
}

pub fn trials(all: &mut Vec<Trial>) {
    languages(all);
    switches(all);
}
