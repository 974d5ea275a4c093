//! `docs/refusals.md` is made from the table of local answers and the closed list of reasons; this test makes and compares it.

use std::fmt::Write as _;
use std::path::Path;

use fuseboard_core::refusal::RefusalReason;
use fuseboard_proxy::{Body, Cause};
use fuseboard_snapshot::Setting;

const INTRODUCTION: &str = "# Refusals and failures

When Fuseboard answers in place of the upstream, status, body, response flag and details are Envoy's. Envoy's flag `UO` covers several
limits; so there is one *reason* beside it, a token from a closed list, the same everywhere:

| Where | How |
|---|---|
| answer | `x-fuseboard-refused: limit.queue_full` (removed from what upstreams send, so that nobody forges it) |
| access log | the last field of the text format, `refusal_reason` in JSON |
| `/stats` | `cluster.<name>.fuseboard.refused.limit.queue_full`; `listener.<address>.fuseboard.refused.limit.downstream_connections` |
| Prometheus | `fuseboard_cluster_refused_total{reason=\"limit.queue_full\"}` |
| `fuseboard why`, `/fuseboard/v1/refusals` | the last refusals with limit, bound, value, queue, and the rule's file and line |

Local answers say `server: fuseboard`; an upstream's own `server` field is passed on as it is. A client's connection stays usable after a
local answer if its request was complete. What a breaker refuses has `Retry-After`: whole seconds until another request may be let through.

A refusal before a byte was sent to any host also says `x-fuseboard-not-processed: 1`: the request may safely go elsewhere, whatever it does.
`run --refusal-headers off` leaves both headers off, for listeners whose callers are not of the mesh.

Where the hosts of a service are Fuseboards themselves, `trustRefusals: true` in its `DestinationPolicy` makes a caller believe that header:
such a 503 counts against neither host nor breaker, and the request, a POST too, goes to another host under the route's retries
([ADR 7](adr/0007-refusals-of-peers.md)). `upstream_rq_refused_by_peer` counts them. Without it nobody is believed.

## Reasons

| Reason | Decided by | Meaning |
|---|---|---|
";

const CAUSES: &str = "
## Everything that can go wrong

*Outcome* is what the host's health (outlier detection) hears: refusals of our own are no failure of any host. *Retried* says what Istio's
default policy does; a refusal by our own limits is never retried. Status 0: there is no answer, or the answer that had begun is broken off.

| Cause | Status | Flag | Details | Body | Reason | Counter | Outcome | Retried |
|---|--:|---|---|---|---|---|---|---|
";

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for reason in RefusalReason::ALL {
        let none = if reason.is_of_breaker() { "`CircuitBreaker`" } else { "-" };
        let setting = Setting::deciding(reason).map_or(none.to_owned(), |set| format!("`{}`", set.field()));
        writeln!(page, "| `{}` | {setting} | {} |", reason.token(), reason.meaning()).unwrap();
    }
    page.push_str(CAUSES);
    for cause in Cause::ALL {
        let row = cause.row();
        let body = match row.body {
            Body::Text("") => "-".to_owned(),
            Body::Text(text) => format!("`{text}`"),
            Body::Reset(reason) => format!("`… reset reason: {reason}`"),
            Body::Problem => "what is wrong".to_owned(),
        };
        let code =
            |text: &str| if text.is_empty() || text == "-" { "-".to_owned() } else { format!("`{text}`") };
        writeln!(
            page,
            "| {} | {} | {} | {} | {body}{} | {} | {} | {} | {} |",
            cause.meaning(),
            row.status,
            code(row.flag),
            code(row.details),
            if row.overloaded { ", `x-envoy-overloaded: true`" } else { "" },
            code(row.reason.map_or("", RefusalReason::token)),
            code(row.counter),
            row.outcome.map_or("-".to_owned(), |kind| format!("{kind:?}")),
            if row.retriable { "yes" } else { "no" },
        )
        .unwrap();
    }
    page.push_str(
        "\n`…` stands for `upstream connect error or disconnect/reset before headers.`; after a retry the body says `retried and the latest \
         reset reason:`. A retry that `maxRetries` forbids (`limit.retries`) leaves the earlier answer as it was, with flag `UO`.\n",
    );
    page
}

#[test]
fn the_page_of_refusals_is_that_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/refusals.md");
    if std::env::var_os("FUSEBOARD_BLESS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let page = page();
    let different = page.lines().zip(written.lines()).find(|(made, written)| made != written);
    assert_eq!(different, None, "run `cargo xtask bless` and look at the difference");
    assert_eq!(page.len(), written.len(), "run `cargo xtask bless` and look at the difference");
}
