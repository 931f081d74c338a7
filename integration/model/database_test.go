package model

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"portsyncd/internal/switchtest"
)

// The events of this file act on the databases. They first wait until the daemon is idle, because
// a write that races with a link message has two right outcomes.

// quiet waits until the daemon is idle and reports whether the databases are reachable.
func (r *modelRun) quiet() bool {
	r.T.Helper()
	if r.reachable() {
		r.awaitSync()
	}
	return r.reachable()
}

// own excludes the test's own changes of STATE_DB from what the daemon is checked for.
func (r *modelRun) own() bool {
	r.T.Helper()
	r.beginPeriod()
	return true
}

// popAll consumes PORT_TABLE as orchagent does.
func (r *modelRun) popAll(_, _ int) bool {
	r.T.Helper()
	if !r.quiet() {
		return false
	}
	r.PopPortTable()
	r.m.pop()
	return true
}

// setRow adds a port to APPL_DB, with admin_status if v is 1 and without if v is 2, or removes the
// port if v is 0. Whether the daemon rechecks a port with a rejected row before or after that
// depends on time.
func (r *modelRun) setRow(n, v int) bool {
	r.T.Helper()
	key := switchtest.ApplPort + modelNames[n]
	if !r.quiet() || v == 0 && r.m.daemon != nil && r.m.daemon.rejected[modelNames[n]] {
		return false
	}
	switch v {
	case 0:
		r.del("APPL_DB", key)
	case 1:
		r.hset("APPL_DB", key, "lanes", "1", "admin_status", "up")
	default:
		r.hset("APPL_DB", key, "lanes", "2")
	}
	return true
}

// setConfig adds a port to CONFIG_DB, with a value that depends on v, or removes it if v is 0.
func (r *modelRun) setConfig(n, v int) bool {
	r.T.Helper()
	key := switchtest.ConfigPort + modelNames[n]
	if !r.quiet() {
		return false
	}
	if v == 0 {
		r.del("CONFIG_DB", key)
	} else {
		r.hset("CONFIG_DB", key, "lanes@", strconv.Itoa(4*n), "speed", strconv.Itoa(10000*v), "admin_status", "up")
	}
	return true
}

// replaceConfig deletes a port from CONFIG_DB and adds it again, with a value that depends on v, in
// one transaction.
func (r *modelRun) replaceConfig(n, v int) bool {
	r.T.Helper()
	key := switchtest.ConfigPort + modelNames[n]
	if !r.quiet() || r.m.db["CONFIG_DB"][key] == nil {
		return false
	}
	fields := []string{"lanes@", strconv.Itoa(4 * n), "speed", strconv.Itoa(10000 * v), "admin_status", "up"}
	r.Do("CONFIG_DB", "MULTI")
	r.Do("CONFIG_DB", "DEL", key)
	r.Do("CONFIG_DB", append([]string{"HSET", key}, fields...)...)
	r.Do("CONFIG_DB", "EXEC")
	r.m.db["CONFIG_DB"][key] = switchtest.FieldMap(fields)
	if d := r.m.daemon; d != nil && !slices.Contains(slices.Collect(maps.Values(d.known)), modelNames[n]) {
		d.expected[modelNames[n]] = true
	}
	return true
}

// foreign writes a field of another daemon to a row of STATE_DB.
func (r *modelRun) foreign(n, v int) bool {
	r.T.Helper()
	key := switchtest.StatePort + modelNames[n]
	if !r.quiet() || r.m.db["STATE_DB"].jammed(key) {
		return false
	}
	if strings.Contains(modelNames[n], ".") {
		r.hset("STATE_DB", key, "state", "ok") // intfmgrd's row of a sub-interface
	} else {
		r.hset("STATE_DB", key, "speed", strconv.Itoa(v))
	}
	return r.own()
}

// steal deletes a row of STATE_DB, or with v = 1 one of its fields.
func (r *modelRun) steal(n, v int) bool {
	r.T.Helper()
	key := switchtest.StatePort + modelNames[n]
	if !r.quiet() || v == 1 && r.m.db["STATE_DB"].jammed(key) {
		return false
	}
	if v == 1 {
		r.Do("STATE_DB", "HDEL", key, "mtu")
		r.m.db["STATE_DB"].hdel(key, "mtu")
	} else {
		r.del("STATE_DB", key)
	}
	return r.own()
}

// jam writes a string in place of a row. steal removes the string.
func (r *modelRun) jam(n, _ int) bool {
	r.T.Helper()
	if !r.quiet() {
		return false
	}
	key := switchtest.StatePort + modelNames[n]
	r.Do("STATE_DB", "SET", key, "a string")
	r.m.db["STATE_DB"][key] = maps.Clone(jammedRow)
	return r.own()
}

// setFlag sets or deletes SONiC's warm restart flag of the system (n = 0) or of swss.
func (r *modelRun) setFlag(n, v int) bool {
	r.T.Helper()
	if !r.quiet() {
		return false
	}
	key := "WARM_RESTART_ENABLE_TABLE|" + []string{"system", "swss"}[n%2]
	if word := []string{"", "true", "false", "True"}[v%4]; word == "" {
		r.del("STATE_DB", key)
	} else {
		r.hset("STATE_DB", key, "enable", word)
	}
	return true
}

// setCount sets restore_count.
func (r *modelRun) setCount(_, v int) bool {
	r.T.Helper()
	if !r.quiet() {
		return false
	}
	const key = "WARM_RESTART_TABLE|portsyncd"
	if word := []string{"", "7", "abc", "4294967296"}[v%4]; word == "" {
		r.del("STATE_DB", key)
	} else {
		r.hset("STATE_DB", key, "restore_count", word, "state", "restored")
	}
	return true
}

func (r *modelRun) setDPU(_, v int) bool {
	r.T.Helper()
	if !r.quiet() {
		return false
	}
	r.hset("CONFIG_DB", "DEVICE_METADATA|localhost", "switch_type", []string{"switch", "dpu"}[v%2])
	return true
}

// spoilLogger deletes the LOGGER row or half of it.
func (r *modelRun) spoilLogger(_, v int) bool {
	r.T.Helper()
	if !r.quiet() {
		return false
	}
	r.del("CONFIG_DB", "LOGGER|portsyncd")
	if v == 1 {
		r.hset("CONFIG_DB", "LOGGER|portsyncd", "LOGLEVEL", "INFO")
	}
	return true
}

// fault records that the daemon must notice a fault.
func (r *modelRun) fault(reason string) {
	r.m.databaseDisconnected()
	r.revive = nil
	if r.d != nil && !r.waiting {
		r.faults[reason]++
	}
}

// lost records that the daemon must notice a lost connection. It may miss one of several, and the
// flush of a server to which it is not connected.
func (r *modelRun) lost() {
	if r.faults["database_flushed"] > 0 {
		r.excused["database_flushed"] = true
	}
	delete(r.faults, "database_flushed")
	delete(r.faults, "database_back")
	r.fault("database_back")
}

// flushed records that a database was flushed.
func (r *modelRun) flushed() {
	if r.faults["database_back"] > 0 {
		r.m.databaseDisconnected()
		r.excused["database_flushed"] = true
		return
	}
	r.fault("database_flushed")
}

// flush flushes APPL_DB, STATE_DB, both, or all databases, depending on v.
func (r *modelRun) flush(_, v int) bool {
	r.T.Helper()
	if !r.quiet() {
		return false
	}
	if v == 3 {
		r.flushed()
		r.Do("APPL_DB", "FLUSHALL")
		for name := range r.m.db {
			clear(r.m.db[name])
		}
		return r.own()
	}
	// APPL_DB first: otherwise the notification about one could find the other's ports.
	for i, name := range []string{"APPL_DB", "STATE_DB"} {
		if v == i || v == 2 {
			r.flushed()
			r.Do(name, "FLUSHDB")
			clear(r.m.db[name])
		}
	}
	return r.own()
}

// save makes the server save what a restart will load.
func (r *modelRun) save(_, _ int) bool {
	r.T.Helper()
	if r.redis == nil || !r.quiet() {
		return false
	}
	r.Do("APPL_DB", "SAVE")
	r.saved = r.m.cloneDB()
	return true
}

// killServer kills the server, even a paused one.
func (r *modelRun) killServer(_, _ int) bool {
	r.T.Helper()
	if r.redis == nil || r.down {
		return false
	}
	r.quiet()
	r.CloseConns()
	r.redis.Stop()
	r.rows, r.rowsRead = nil, 0
	r.down, r.paused, r.refuses = true, false, false
	r.lost()
	return true
}

// back starts the server with its last saved contents, or empty.
func (r *modelRun) back(_, _ int) bool {
	r.T.Helper()
	if !r.down {
		return false
	}
	r.NoError("start the database", r.redis.Restart())
	r.down = false
	saved := r.saved
	if saved == nil {
		saved = newSwitchModel().db
	}
	r.m.db = saved
	r.saved = r.m.cloneDB()
	r.watchRows()
	if r.waiting {
		r.waiting = false
		r.started()
	}
	return true
}

// pause stops the server: it keeps its connections and sends no replies.
func (r *modelRun) pause(_, _ int) bool {
	r.T.Helper()
	if r.redis == nil || !r.quiet() {
		return false
	}
	r.redis.Pause()
	r.paused = true
	return true
}

// unpause continues the server, with v = 1 after the daemon's timeout for replies.
func (r *modelRun) unpause(_, v int) bool {
	r.T.Helper()
	if !r.paused {
		return false
	}
	if v == 1 {
		time.Sleep(2300 * time.Millisecond) // the fault itself
	}
	r.redis.Resume()
	r.paused = false
	r.mayHaveLost()
	return true
}

// mayHaveLost records that a reply may have come after the daemon's timeout.
func (r *modelRun) mayHaveLost() {
	if r.d == nil {
		return
	}
	r.excused["database_back"] = true
	if r.faults["database_back"]+r.faults["database_flushed"] == 0 && r.revive == nil {
		r.revive = maps.Clone(r.m.daemon.toRecheck)
	}
	r.m.databaseDisconnected()
}

// refuse makes the server refuse writes, as a replica without a master.
func (r *modelRun) refuse(_, _ int) bool {
	r.T.Helper()
	if r.redis == nil || !r.quiet() {
		return false
	}
	r.Do("APPL_DB", "REPLICAOF", "127.0.0.1", "1")
	r.refuses = true
	return true
}

// accept ends refuse.
func (r *modelRun) accept(_, _ int) bool {
	r.T.Helper()
	if !r.refuses {
		return false
	}
	r.Do("APPL_DB", "REPLICAOF", "NO", "ONE")
	r.refuses = false
	return true
}

// stall delays the server's replies for v milliseconds.
func (r *modelRun) stall(_, v int) bool {
	r.T.Helper()
	if r.redis == nil || !r.quiet() {
		return false
	}
	r.Do("APPL_DB", "CLIENT", "PAUSE", strconv.Itoa(v))
	r.mayHaveLost()
	return true
}

// cut closes the daemon's connections for commands or for subscriptions.
func (r *modelRun) cut(_, v int) bool {
	r.T.Helper()
	if r.redis == nil || !r.quiet() {
		return false
	}
	r.Do("APPL_DB", "CLIENT", "KILL", "TYPE", []string{"normal", "pubsub"}[v%2])
	r.CloseConns()
	r.watchRows()
	r.lost()
	return true
}

// flushScripts deletes the server's scripts.
func (r *modelRun) flushScripts(_, _ int) bool {
	r.T.Helper()
	if !r.quiet() {
		return false
	}
	r.Do("APPL_DB", "SCRIPT", "FLUSH")
	return true
}
