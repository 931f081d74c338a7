#!/bin/sh
# Usage: user-manager.sh DIR
#
# Runs a systemd user manager of its own, for tests: apart from any that the machine has, and on machines that were not
# booted with systemd at all (containers, CI). Needs root (or any right to make cgroups and namespaces), systemd,
# and unshare of util-linux.
#
#   DIR/units      unit files to know, all others are ignored; may be filled before or while it runs
#   DIR/systemctl  a command that talks to this manager: DIR/systemctl start some.service
#   DIR/log        why it did not start, if so; for anything later ask DIR/systemctl status
#   DIR/run        XDG_RUNTIME_DIR, in which RuntimeDirectory= makes directories
#   DIR/home       HOME; StateDirectory= makes directories in its .config
#
# Prints "ready PID" on standard output once the manager takes orders, and then waits until its standard input
# ends. The manager, all its services and its cgroups are gone when the script ends. PID is that of a process whose
# death ends them at once. Exit status 77: this machine cannot do it, the reason is on standard error.
set -eu

unavailable() {
	echo "user-manager.sh: $*" >&2
	exit 77
}

dir=$(realpath "$1")
systemd=
for path in /usr/lib/systemd/systemd /lib/systemd/systemd; do
	[ -z "$systemd" ] && [ -x "$path" ] && systemd=$path
done
[ -n "$systemd" ] || unavailable "systemd is not installed"
command -v systemctl >/dev/null || unavailable "systemctl is not installed"
unshare --mount --pid --fork true 2>/dev/null || unavailable "no right to make mount and PID namespaces"

mkdir -p "$dir/units" "$dir/home"
mkdir -p -m 700 "$dir/run"

# The least that a manager needs to start services; every service is ordered after basic.target.
for target in default basic sockets shutdown; do
	[ -e "$dir/units/$target.target" ] ||
		printf '[Unit]\nDefaultDependencies=no\n' >"$dir/units/$target.target"
done

# A manager takes over the cgroup it starts in, with all the processes there, so it gets one to itself. In a hybrid
# set-up (cgroup v1 with a v2 hierarchy beside it) systemd looks at two hierarchies.
cgroups=
manager=
cleanup() {
	exec <&-
	if [ -n "$manager" ]; then
		kill -KILL "$manager" 2>/dev/null || true # unshare --kill-child takes the whole PID namespace along
		wait "$manager" 2>/dev/null || true
	fi
	for cgroup in $cgroups; do
		echo $$ >"${cgroup%/*}/cgroup.procs" 2>/dev/null || true
		# The kernel frees a killed process a moment after it has been waited for.
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
			[ -d "$cgroup" ] || break
			sleep 0.1
		done
	done
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
	[ -e "$hierarchy/cgroup.procs" ] || continue
	cgroup=$hierarchy/portsyncd-test-$$
	mkdir "$cgroup" 2>/dev/null || unavailable "no right to make a cgroup in $hierarchy"
	cgroups="$cgroups $cgroup"
	echo $$ >"$cgroup/cgroup.procs" 2>/dev/null || unavailable "no right to use a cgroup in $hierarchy"
done
[ -n "$cgroups" ] || unavailable "no cgroup hierarchy is mounted"

# The manager works only where /run/systemd/system says that the machine was booted with systemd. Where it was not, a tmpfs
# that the manager and its services alone see provides that, and the files that the system's manager would have
# made for hiding others behind (InaccessiblePaths= and the like); the user manager makes the same in its own directory.
# The log goes nowhere, because it would go to /dev/console.
env -i PATH="$PATH" HOME="$dir/home" XDG_RUNTIME_DIR="$dir/run" SYSTEMD_UNIT_PATH="$dir/units" \
	unshare --mount --pid --fork --kill-child --mount-proc sh -c '
		if ! [ -d /run/systemd/system ]; then
			mkdir -p /run/systemd && mount -t tmpfs tmpfs /run/systemd && mkdir /run/systemd/system &&
				ln -s "$XDG_RUNTIME_DIR/systemd/inaccessible" /run/systemd/inaccessible
		fi
		"$0" --user --log-target=null &
		wait
	' "$systemd" </dev/null >"$dir/log" 2>&1 &
manager=$!

# The manager refuses callers whose process ids mean nothing in its namespace, so systemctl has to go there.
cat >"$dir/systemctl" <<END
#!/bin/sh
exec nsenter --mount=/proc/$manager/ns/mnt --pid=/proc/$manager/ns/pid_for_children \\
	env XDG_RUNTIME_DIR='$dir/run' systemctl --user "\$@"
END
chmod +x "$dir/systemctl"

tries=0
until "$dir/systemctl" is-active --quiet default.target 2>/dev/null; do
	tries=$((tries + 1))
	if [ $tries -gt 100 ] || ! kill -0 "$manager" 2>/dev/null; then
		tail -n 5 "$dir/log" >&2
		unavailable "the user manager did not start"
	fi
	sleep 0.1
done
echo "ready $manager"
cat >/dev/null
