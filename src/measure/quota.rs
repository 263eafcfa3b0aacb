//! The CPU quota of a container: how many cores' time its control groups give, whatever its affinity mask says.

use std::fs;
use std::path::{Path, PathBuf};

/// Where control groups are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// Returns how many cores this process can keep busy by its quotas; `None` where there is none.
pub fn cores() -> Option<usize> {
    let memberships = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let share = smallest(Path::new(ROOT), &memberships)?;
    // A core that is given for a part of the time is one that is often taken away.
    Some((share.floor() as usize).max(1))
}

/// Returns the smallest quota of all groups that a process is in, in cores. A group's processes share its quota with those
/// of the groups below it, so that each group on the way up counts.
///
/// In a container the path may be that of the host, which is not there: then only the root, which is the container's, counts.
fn smallest(root: &Path, memberships: &str) -> Option<f64> {
    let groups = memberships.lines().filter_map(Membership::parse).chain([Membership::default()]);
    groups.flat_map(|group| group.folders(root)).filter_map(|folder| quota(&folder)).reduce(f64::min)
}

/// The group of one hierarchy that a process is in: a line `ID:CONTROLLERS:PATH`, where version 2 names no controllers.
#[derive(Default)]
struct Membership<'a> {
    controllers: &'a str,
    path: &'a str,
}

impl<'a> Membership<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let limits_time = controllers.is_empty() || controllers.split(',').any(|controller| controller == "cpu");
        limits_time.then_some(Self { controllers, path })
    }

    /// Returns the folders of the group and of all above it. Version 1 mounts a hierarchy under its controllers' names, often
    /// with a link for each.
    fn folders(&self, root: &Path) -> Vec<PathBuf> {
        let mounts = if self.controllers.is_empty() {
            vec![root.to_owned(), root.join("unified"), root.join("cpu"), root.join("cpu,cpuacct")]
        } else {
            vec![root.join(self.controllers), root.join("cpu")]
        };
        let path = Path::new(self.path.trim_start_matches('/'));
        mounts.iter().flat_map(|mount| path.ancestors().map(|above| mount.join(above))).collect()
    }
}

/// Returns a group's own quota in cores: `cpu.max` in version 2, two files in version 1.
fn quota(folder: &Path) -> Option<f64> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    if let Some(text) = read("cpu.max") {
        let mut words = text.split_whitespace();
        return part(words.next()?, words.next().unwrap_or("100000"));
    }
    part(read("cpu.cfs_quota_us")?.trim(), read("cpu.cfs_period_us")?.trim())
}

/// Returns a quota as a part of its period, both in microseconds; `max` and -1 stand for none.
fn part(quota: &str, period: &str) -> Option<f64> {
    let share = quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?;
    (share.is_finite() && share > 0.0).then_some(share)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::smallest;

    struct Case {
        name: &'static str,
        files: &'static [(&'static str, &'static str)],
        memberships: &'static str,
        cores: Option<f64>,
    }

    #[test]
    fn the_smallest_quota_of_all_groups_above_counts() {
        for case in [
            Case { name: "none", files: &[], memberships: "0::/\n", cores: None },
            Case { name: "no limit", files: &[("cpu.max", "max 100000\n")], memberships: "0::/\n", cores: None },
            Case {
                name: "container",
                files: &[("cpu.max", "250000 100000\n")],
                memberships: "0::/\n",
                cores: Some(2.5),
            },
            Case {
                name: "a path of the host in a container",
                files: &[("cpu.max", "50000 100000\n")],
                memberships: "0::/kubepods/pod1/abc\n",
                cores: Some(0.5),
            },
            Case {
                name: "nested: the pod has less than its container",
                files: &[("pod/cpu.max", "100000 100000\n"), ("pod/box/cpu.max", "300000 100000\n")],
                memberships: "0::/pod/box\n",
                cores: Some(1.0),
            },
            Case {
                name: "another group's quota",
                files: &[("other/cpu.max", "100000 100000\n")],
                memberships: "0::/mine\n",
                cores: None,
            },
            Case {
                name: "version 1",
                files: &[
                    ("cpu,cpuacct/docker/a/cpu.cfs_quota_us", "150000\n"),
                    ("cpu,cpuacct/docker/a/cpu.cfs_period_us", "50000\n"),
                    ("cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
                    ("cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
                ],
                memberships: "5:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n",
                cores: Some(3.0),
            },
            Case {
                name: "version 1 in a container",
                files: &[("cpu/cpu.cfs_quota_us", "200000"), ("cpu/cpu.cfs_period_us", "100000")],
                memberships: "4:cpuacct,cpu:/docker/a\n1:name=systemd:/\n",
                cores: Some(2.0),
            },
            Case {
                name: "nonsense",
                files: &[("cpu.max", "many 0\n"), ("cpu/cpu.cfs_quota_us", "1")],
                memberships: "::\nx\n",
                cores: None,
            },
        ] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            for (path, text) in case.files {
                let path = folder.path().join(path);
                fs::create_dir_all(path.parent().expect("a parent")).expect("writable");
                fs::write(path, text).expect("writable");
            }
            assert_eq!(smallest(folder.path(), case.memberships), case.cores, "{}", case.name);
        }
    }
}
