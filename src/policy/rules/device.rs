use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "device",
    severity: Severity::Critical,
    summary: "a device of the host",
    risk: "the driver behind it is kernel code that no user namespace guards; a disk is every file on it",
    instead: "the file or service behind the device, mounted or spoken to; harmless nodes (null, zero, full, random, urandom, tty) are there",
    example: "--device /dev/kmsg IMAGE",
    overriding: Override::Loosens("that device can be opened, with the access asked for"),
    references: &["CIS 5.18", "NIST SP 800-190 4.4.3"],
    check,
};

const HARMLESS: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

const KNOWN: &[(&str, &str)] = &[
    ("/dev/mem", "the host's memory"),
    ("/dev/kmem", "the kernel's memory"),
    ("/dev/port", "the host's i/o ports"),
    ("/dev/kmsg", "the kernel's log, and writing to it"),
    ("/dev/sd", "a disk: every file on it"),
    ("/dev/nvme", "a disk: every file on it"),
    ("/dev/vd", "a disk: every file on it"),
    ("/dev/xvd", "a disk: every file on it"),
    ("/dev/dm-", "a disk: every file on it"),
    ("/dev/mapper", "a disk: every file on it"),
    ("/dev/loop", "any file as a disk"),
    ("/dev/kvm", "virtual machines: a large piece of kernel code"),
    ("/dev/fuse", "file systems whose answers come from the container"),
    ("/dev/net/tun", "network interfaces whose packets come from the container"),
    ("/dev/vhost", "kernel threads that work on the container's memory"),
    ("/dev/vfio", "hardware with access to memory"),
    ("/dev/dri", "the graphics driver"),
    ("/dev/nvidia", "the graphics driver"),
    ("/dev/input", "keyboards: what is typed"),
    ("/dev/uinput", "keyboards: typing for the user"),
    ("/dev/bus/usb", "USB devices, disks and keys among them"),
    ("/dev/tpm", "the host's key store"),
    ("/dev/snd", "the microphone"),
    ("/dev/video", "the camera"),
];

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    draft
        .devices
        .iter()
        .filter_map(|device| {
            let host = device.value.host.to_string_lossy();
            // Making the node anew (`m`) is not needed to use it, and harmless nodes are no reason to ask for it.
            if HARMLESS.contains(&host.as_ref()) && !device.value.access.contains('m') {
                return None;
            }
            let access = &device.value.access;
            let what = asked(device, "--device", format!("{host}:{}:{access}", device.value.container));
            let finding = Finding::new(RULE.id, what);
            Some(match KNOWN.iter().find(|(prefix, _)| host.starts_with(prefix)) {
                Some((_, why)) => finding.detail(*why),
                None => finding,
            })
        })
        .collect()
}
