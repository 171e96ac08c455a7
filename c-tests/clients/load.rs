//! wrk: many requests on many connections, none of which may fail.

use crate::server::{Server, client};
use crate::tools::tool;
use libtest_mimic::{Failed, Trial};

/// The number behind a label of wrk's report.
fn number(report: &str, label: &str) -> Option<u64> {
    report.lines().find_map(|l| l.trim().split_once(label)?.0.trim().parse().ok())
}

fn wrk(test: &str, path: &str, connections: &str, seconds: &str) -> Result<(), Failed> {
    let server = Server::of_tests(test)?;
    let mut wrk = tool("wrk")?;
    wrk.args(["-t", "1", "-c", connections, "-d", seconds]).arg(server.url(path));
    let report = client(test, wrk, 60)?;
    let served = number(&report, " requests in ").unwrap_or(0);
    if served < 1000 || report.contains("Socket errors") || report.contains("Non-2xx") {
        return Err(report.into());
    }
    server.stop()?;
    Ok(())
}

pub(crate) fn trials(all: &mut Vec<Trial>) {
    all.push(Trial::test("load::ten_seconds_on_256_connections", || wrk("wrk_keep_alive", "/hello", "256", "10")));
    all.push(Trial::test("load::large_answers", || wrk("wrk_large", "/big?n=100000", "32", "3")));
}
