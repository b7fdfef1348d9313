//! Where the image comes from.

use super::Notes;
use super::reader::{invalid, non_empty, one_of, switch, uint, value};
use crate::cli::flags::ImageFlags;
use crate::error::{Error, Result};
use crate::request::{Env, ImageVolume, Platform, Request, SourceRequest};

pub fn resolve(flags: ImageFlags, request: &mut Request, env: &Env, notes: &mut Notes) -> Result<()> {
    let ImageFlags {
        arch,
        authfile,
        cert_dir,
        creds,
        decryption_key,
        disable_content_trust,
        image_volume,
        os,
        platform,
        pull,
        quiet,
        retry,
        retry_delay,
        rootfs,
        tls_verify,
        variant,
    } = flags;

    if non_empty(creds).is_some() {
        return Err(Error::runner("--creds is not taken: everyone on the host can read a command line")
            .hint("put the credentials into docker's config file (docker login), or name a file with --authfile"));
    }
    notes.not_applicable_list("--decryption-key", &decryption_key, "encrypted images are not read");
    if switch("--disable-content-trust", disable_content_trust)?.is_some() {
        notes
            .notice("--disable-content-trust does nothing: docker took content trust away; digests are always checked");
    }
    let rootfs = switch("--rootfs", rootfs)?.unwrap_or(false);
    request.source = SourceRequest {
        pull: value("--pull", pull)?,
        quiet: switch("-q, --quiet", quiet)?.unwrap_or(false),
        platform: chosen_platform(platform, [os, arch, variant], env)?,
        rootfs: rootfs.then(|| env.absolute(&request.image)),
        authfile: non_empty(authfile).map(|path| env.absolute(path)),
        cert_dir: non_empty(cert_dir).map(|path| env.absolute(path)),
        tls_verify: switch("--tls-verify", tls_verify)?,
        retry: uint("--retry", retry, 100)?.and_then(|n| u32::try_from(n).ok()),
        retry_delay: value("--retry-delay", non_empty(retry_delay))?,
        image_volume: one_of("--image-volume", image_volume, &["anonymous", "bind", "tmpfs", "ignore"])?.map(|word| {
            match word {
                "tmpfs" => ImageVolume::Tmpfs,
                "ignore" => ImageVolume::Ignore,
                _ => ImageVolume::Anonymous,
            }
        }),
    };
    Ok(())
}

/// `--platform`, else podman's three flags, else DOCKER_DEFAULT_PLATFORM.
fn chosen_platform(platform: Option<String>, parts: [Option<String>; 3], env: &Env) -> Result<Option<Platform>> {
    let [os, arch, variant] = parts.map(non_empty);
    let parted = os.is_some() || arch.is_some() || variant.is_some();
    let platform = non_empty(platform);
    if platform.is_some() && parted {
        return Err(Error::runner("conflicting options: cannot specify both --platform and --os, --arch or --variant"));
    }
    if let Some(word) = platform {
        return value("--platform", Some(word));
    }
    if parted {
        // The parts that were not given are this host's.
        let os = os.unwrap_or_else(|| "linux".into());
        let arch = arch.unwrap_or_else(|| std::env::consts::ARCH.into());
        let word = [Some(os), Some(arch), variant].into_iter().flatten().collect::<Vec<_>>().join("/");
        return value("--os, --arch, --variant", Some(word));
    }
    match env.get("DOCKER_DEFAULT_PLATFORM").filter(|word| !word.is_empty()) {
        Some(word) => word.parse().map(Some).map_err(|why: String| invalid("DOCKER_DEFAULT_PLATFORM", word, why)),
        None => Ok(None),
    }
}
