// Package snapshot keeps files that survive anything: whole files that are
// replaced atomically and durably, with backups ([File]), small exports that
// need none ([WriteFile]), and an append-only log of JSON lines ([Log]). It
// knows nothing of what is in them.
//
// # What a crash leaves
//
// A replacement is these steps, and a crash or a power cut may come between any
// two of them, or in the middle of one:
//
//	create a temporary file, O_EXCL   the old content, and a stale temporary file
//	write, fchmod, fsync, close       the same
//	link the old file as a backup     the same, twice by name
//	rename over the old file          the old content or the new
//	fsync the directory               the new content, for good
//	write copies, with File.Copies    the new content, and backups of it
//	remove surplus backups            the new content
//
// Without the first fsync a file system may do the rename before it has written
// the data and come back with an empty file; without the second it may forget
// the rename (Pillai et al., "All File Systems Are Not Created Equal", OSDI
// 2014). Where there are no hard links the old file is renamed instead, and in
// between there is only the backup, which Load takes. Stale temporary files are
// removed by the next Load or save.
//
// A failed fsync is final: the kernel marks the lost pages as clean, so that
// the next fsync succeeds although nothing was written (PostgreSQL wiki, "Fsync
// Errors"). The file that was being written is discarded, and the next save
// writes another one.
//
// # Names
//
// Beside port_state.json there may be
//
//	port_state.json.backup-000012                    an earlier content
//	port_state.json.corrupt-000013-20261005T101112Z  set aside: damaged
//	port_state.json.newer-000014-20261005T101112Z    set aside: of a newer schema
//	port_state.json.stale-000015-20261005T101112Z    set aside at the caller's wish
//	port_state.json.tmp-0123456789abcdef             being written
//
// and beside history.jsonl what it was before: history-000007-20261005T101112Z.jsonl.
// The numbers only grow and give the order; a clock may jump. Everything with
// another name is left alone, and so is what has such a name but is a directory.
//
// # Retention
//
// Backups, files set aside and earlier parts of a log are each bounded by
// [Limits]. Files of a newer schema are never removed: only a downgrade makes
// them, and whoever upgrades again may want them.
//
// # Concurrency
//
// There are no goroutines here and no locks. A File and a Log belong to one
// goroutine, and what they name to one process that writes. [File.Peek] and
// [Log.Read] change nothing and may be used while another process writes. All
// calls block for as long as the disk does, so none belongs in an event loop.
package snapshot
