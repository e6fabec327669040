//! What the system knows about this process: memory, processor time, open files. From `/proc`, so only on Linux.

use std::fs;

/// Ticks of a second in `/proc/self/stat`; the kernel's USER_HZ, which is 100 on every architecture that Rust's standard
/// library runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Usage of this process, as far as the system tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessUsage {
    /// Memory that is resident.
    pub resident_bytes: Option<u64>,
    /// Address space.
    pub virtual_bytes: Option<u64>,
    /// Processor time of all threads, user and system.
    pub cpu_seconds: Option<f64>,
    /// Threads.
    pub threads: Option<u64>,
    /// File descriptors in use.
    pub open_files: Option<u64>,
    /// File descriptors that may be in use.
    pub open_files_max: Option<u64>,
}

impl ProcessUsage {
    /// Reads what can be read now.
    pub fn read() -> ProcessUsage {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        ProcessUsage {
            resident_bytes: kibibytes(&status, "VmRSS:"),
            virtual_bytes: kibibytes(&status, "VmSize:"),
            cpu_seconds: fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds),
            threads: field(&status, "Threads:").and_then(|value| value.parse().ok()),
            // The reading itself holds one.
            open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count().saturating_sub(1) as u64),
            open_files_max: field(&limits, "Max open files").and_then(|value| value.parse().ok()),
        }
    }
}

/// The first word behind a name at the beginning of a line.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    field(status, name)?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The 14th and 15th field of `/proc/self/stat`; the second is a name in brackets that may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_the_kernel_are_understood() {
        let stat = "4711 (allu) vium) S 1 2 3 4 5 6 7 8 9 10 1234 66 0 0 20 0 9 0 12345 1 2";
        assert_eq!(cpu_seconds(stat), Some(13.0));
        assert_eq!(cpu_seconds("4711"), None);
        let status = "Name:\talluvium\nVmSize:\t  2048 kB\nVmRSS:\t     512 kB\nThreads:\t9\n";
        assert_eq!((kibibytes(status, "VmRSS:"), kibibytes(status, "VmSwap:")), (Some(524_288), None));
        let limits =
            "Max cpu time   unlimited  unlimited  seconds\nMax open files            1024        4096     files\n";
        assert_eq!(field(limits, "Max open files"), Some("1024"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_something() {
        let usage = ProcessUsage::read();
        assert!(usage.resident_bytes > Some(100_000) && usage.virtual_bytes >= usage.resident_bytes, "{usage:?}");
        assert!(usage.threads > Some(0) && usage.open_files > Some(2) && usage.open_files_max > Some(2), "{usage:?}");
        assert!(usage.cpu_seconds.is_some(), "{usage:?}");
    }
}
