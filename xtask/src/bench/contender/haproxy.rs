//! HAProxy's configuration for a row.

use std::fmt::Write as _;

use super::super::certificates::name_of_cluster;
use super::super::row::{Back, Front, Variant};
use super::Job;

pub(super) fn arguments(job: &Job<'_>) -> anyhow::Result<Vec<String>> {
    let file = job.write("haproxy.cfg", &configuration(job))?;
    Ok(vec!["-db".into(), "-f".into(), file])
}

fn configuration(job: &Job<'_>) -> String {
    let (mode, layer) = if job.is_http() { ("http", "layer7") } else { ("tcp", "layer4") };
    // With the limit of open files it would rather not start than accept fewer connections.
    let mut text = format!(
        "global\n  nbthread 1\n  maxconn 10100\n  no strict-limits\n  stats socket {} level admin\n",
        job.folder.join("socket").display()
    );
    if job.variant == Variant::Logged {
        text += "  log stdout format raw local0\n";
    }
    let _ = write!(
        text,
        "defaults\n  mode {mode}\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n"
    );
    text += match job.variant {
        Variant::Logged => "  log global\n  option httplog\n",
        Variant::Spliced => "  option splice-auto\n",
        _ => "",
    };
    if job.is_http() {
        text += "  http-reuse always\n";
    }
    if job.setting.back == Back::HalfGone {
        text += "  retries 2\n  retry-on conn-failure\n  option redispatch 1\n";
    }
    let _ = writeln!(text, "frontend in\n  bind {}{}", job.listen, bind(job));
    if job.is_http() {
        text += "  option forwardfor\n";
    }
    let watched = format!("observe {layer} error-limit 50 on-error mark-down check inter 1h");
    if job.setting.clusters > 1 {
        text += "  use_backend %[req.hdr(host)]\n";
        for number in 0..job.setting.clusters {
            let host = job.hosts[number % job.hosts.len()];
            let name = name_of_cluster(number);
            // Checks of thousands of servers at the start would be measured, too.
            let _ = writeln!(text, "backend {name}\n  server one {host} maxconn 10000");
        }
        return text;
    }
    text += "  default_backend origin\nbackend origin\n";
    for (number, host) in job.hosts.iter().enumerate() {
        let watched = if job.hosts.len() > 1 { "" } else { &watched };
        let _ = writeln!(text, "  server s{number} {host} maxconn 10000 {watched}{}", server(job));
    }
    text
}

fn bind(job: &Job<'_>) -> String {
    let certificates = job.certificates;
    match job.setting.front {
        Front::Http1 | Front::Tcp => String::new(),
        Front::Http2 => " proto h2".into(),
        Front::Tls => format!(" ssl crt {} alpn http/1.1", certificates.server_both),
        Front::MutualTls => format!(
            " ssl crt {} alpn http/1.1 ca-file {} verify required",
            certificates.server_both, certificates.authority
        ),
    }
}

fn server(job: &Job<'_>) -> String {
    let certificates = job.certificates;
    match job.setting.back {
        Back::Http2 | Back::Grpc => " proto h2".into(),
        Back::MutualTls => format!(
            " ssl crt {} ca-file {} verify required sni str(origin)",
            certificates.client_both, certificates.authority
        ),
        _ => String::new(),
    }
}
