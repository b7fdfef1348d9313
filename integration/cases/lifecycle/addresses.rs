//! Addresses that a container asks for, as a whole command: what it has inside, what `inspect` says, and who reaches it there.

use super::Kept;
use crate::harness::{Env, Outcome};
use crate::{cases, check};

cases!("lifecycle::addresses": @alone of_both_families_as_asked_for);

/// A network that is removed when the case is over.
struct Network<'e>(&'e Env, &'static str);

impl Drop for Network<'_> {
    fn drop(&mut self) {
        let _ = self.0.verb(&["network", "rm", self.1]).go();
    }
}

fn of_both_families_as_asked_for(env: &Env) -> Outcome {
    let name = "both-families";
    let create = ["network", "create", "--ipv6", "--subnet", "10.197.3.0/24", "--subnet", "fd00:197:3::/64", name];
    env.verb(&create).go()?.ok()?;
    let _network = Network(env, name);
    let addresses =
        ["--network", name, "--ip", "10.197.3.9", "--ip6", "fd00:197:3::9", "--mac-address", "02:42:0a:c5:03:09"];
    let serve = "echo served > /index; exec httpd -f -p 8080 -h /";
    let run = |flags: &[&str], words: &[&str]| {
        let run = env.verb(&["run", "-d"]).args(flags).arg("busybox").args(words);
        Kept::take(env, &env.root, run.go()?.ok()?)
    };
    let server = run(&[&addresses[..], &["--network-alias", "served-here"]].concat(), &["sh", "-c", serve])?;
    let inside = server.exec(&[], &["ip", "addr", "show", "eth0"]).go()?.ok()?.out();
    for part in ["02:42:0a:c5:03:09", "10.197.3.9/24", "fd00:197:3::9/64"] {
        check!(inside.contains(part), "{part} is missing:\n{inside}");
    }
    let format = "{{with (index .NetworkSettings.Networks \"both-families\")}}{{.IPAddress}} {{.GlobalIPv6Address}} {{.MacAddress}} {{.IPAMConfig.IPv6Address}}{{end}}";
    server
        .verb(&["inspect", "-f", format])
        .go()?
        .ok()?
        .says("10.197.3.9 fd00:197:3::9 02:42:0a:c5:03:09 fd00:197:3::9")?;
    let client = run(&["--network", name], &["sleep", "1000"])?;
    for url in ["http://10.197.3.9:8080/index", "http://[fd00:197:3::9]:8080/index", "http://served-here:8080/index"] {
        let ask = format!("for i in $(seq 50); do timeout 5 wget -q -O - '{url}' && exit; sleep 0.1; done; exit 1");
        client.exec(&[], &["sh", "-c", &ask]).go()?.ok()?.says("served")?;
    }
    let names = client.exec(&[], &["nslookup", "served-here"]).go()?.out();
    check!(names.contains("10.197.3.9") && names.contains("fd00:197:3::9"), "{names}");
    // An address is one container's.
    env.verb(&["run", "--rm"]).args(addresses).args(["busybox", "true"]).go()?.exits(125)?;
    // With an address of its own it comes to the network later, too.
    let late = Kept::run_on(env, "bridge", &["sleep", "1000"])?;
    env.verb(&["network", "connect", "--ip6", "fd00:197:3::77", name, &late.id]).go()?.ok()?;
    let ask = "timeout 5 wget -q -O - 'http://[fd00:197:3::9]:8080/index'";
    late.exec(&[], &["sh", "-c", ask]).go()?.ok()?.says("served")?;
    let inside = late.exec(&[], &["ip", "addr"]).go()?.ok()?.out();
    check!(inside.contains("fd00:197:3::77/64"), "{inside}");
    Ok(())
}
