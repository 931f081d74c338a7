// Package snapshot stores files that survive crashes and power cuts. It supports files that are
// replaced atomically and durably, with backups ([File]); exports without backups ([WriteFile]);
// and append-only logs of JSON lines ([Log]). It does not interpret file contents.
//
// # Replacing a file
//
// A file is replaced in the following steps. A crash or power cut during or after a step leaves:
//
//	create a temporary file, O_EXCL   the old content and a temporary file
//	write, fchmod, fsync, close       the old content and a temporary file
//	link the old file as a backup     the old content under two names and a temporary file
//	rename over the old file          the old or the new content
//	fsync the directory               the new content
//	write copies, with File.Copies    the new content and some copies
//	remove surplus backups            the new content
//
// Without the first fsync, a file system may execute the rename before it writes the data, leaving
// an empty file after a power cut. Without the second fsync, it may lose the rename (Pillai et al.,
// "All File Systems Are Not Created Equal", OSDI 2014). On file systems without hard links, the old
// file is renamed instead of linked. Until the next rename, only the backup exists, and Load reads
// it. The next Load or Save removes temporary files left by a crash.
//
// After a failed fsync, the kernel marks the lost pages as clean, so the next fsync succeeds
// although nothing was written (PostgreSQL wiki, "Fsync Errors"). Save therefore never retries
// fsync. It discards the temporary file, and the next Save writes a new one.
//
// # Names
//
// Files beside port_state.json:
//
//	port_state.json.backup-000012                    an earlier content or a copy
//	port_state.json.corrupt-000013-20261005T101112Z  set aside: corrupt
//	port_state.json.newer-000014-20261005T101112Z    set aside: newer schema
//	port_state.json.stale-000015-20261005T101112Z    set aside by SetAside
//	port_state.json.tmp-0123456789abcdef             being written
//
// and an earlier part of history.jsonl: history-000007-20261005T101112Z.jsonl. The numbers increase
// and give the order; the times may not, since clocks can be set. Files with other names and
// directories are left alone.
//
// # Retention
//
// [Limits] bound backups, files set aside and earlier parts of a log, each separately. Files of a
// newer schema are never removed: they are the result of a downgrade, and useful after the next
// upgrade.
//
// # Concurrency
//
// The package has no goroutines and no locks. A File or a Log belongs to one goroutine, and its
// files to one process that writes. [File.Peek] and [Log.Read] change nothing and may be used while
// another process writes. All calls block until the disk answers.
package snapshot
