#!/bin/sh
# Usage: user-manager.sh DIR
#
# Runs a separate systemd user manager for tests, also on machines that were not booted with systemd (containers, CI).
# Requires root (or the right to create cgroups and namespaces), systemd, and unshare of util-linux.
#
#   DIR/units      unit files, which may be added before or while the manager runs; all other units are ignored
#   DIR/systemctl  a command that controls this manager: DIR/systemctl start some.service
#   DIR/log        errors during startup; later errors are in DIR/systemctl status
#   DIR/run        XDG_RUNTIME_DIR, in which RuntimeDirectory= creates directories
#   DIR/home       HOME; StateDirectory= creates directories in its .config
#
# Prints "ready PID" on standard output when the manager accepts commands, and then waits until standard input is
# closed. When the script ends, it removes the manager, all services and the cgroups. Killing process PID also ends
# them all. Exit status 77 means that the machine does not meet the requirements; the reason is on standard error.
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
unshare --mount --pid --fork true 2>/dev/null || unavailable "no permission to create mount and PID namespaces"

mkdir -p "$dir/units" "$dir/home"
mkdir -p -m 700 "$dir/run"

# The targets that a manager needs to start services, which are ordered after basic.target.
for target in default basic sockets shutdown; do
	[ -e "$dir/units/$target.target" ] ||
		printf '[Unit]\nDefaultDependencies=no\n' >"$dir/units/$target.target"
done

# A manager uses the cgroup in which it starts, including all processes there, so it gets a new one. In a hybrid
# set-up (cgroup v1 with an additional v2 hierarchy) systemd uses two hierarchies.
cgroups=
manager=
cleanup() {
	exec <&-
	if [ -n "$manager" ]; then
		kill -KILL "$manager" 2>/dev/null || true # unshare --kill-child kills the whole PID namespace
		wait "$manager" 2>/dev/null || true
	fi
	for cgroup in $cgroups; do
		echo $$ >"${cgroup%/*}/cgroup.procs" 2>/dev/null || true
		# A killed process may stay in its cgroup for a moment after wait returns.
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

# The manager works only if /run/systemd/system exists, which means that the machine was booted with systemd. Otherwise the
# script mounts a tmpfs, visible to the manager and its services only, with that directory and the files that the system
# manager creates for InaccessiblePaths= and similar settings. The user manager creates the same in its own directory.
# The log is discarded, since it would go to /dev/console.
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

# The manager refuses callers whose process id is not in its PID namespace, so systemctl must run in that namespace.
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
