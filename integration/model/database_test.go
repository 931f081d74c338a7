package model

import (
	"maps"
	"strconv"
	"strings"
	"time"

	"portsyncd/internal/switchtest"
)

// This file is what a sequence does to the databases. What others write is not
// to race with a message that is under way, since both orders would be right; so
// the daemon is waited for first.

// quiet waits for the daemon, and reports whether the databases can be asked.
func (r *modelRun) quiet() bool {
	r.T.Helper()
	if r.reachable() {
		r.settle()
	}
	return r.reachable()
}

// own ends what the test itself did to STATE_DB: it is no deed of the daemon's.
func (r *modelRun) own() bool {
	r.T.Helper()
	r.beginPeriod()
	return true
}

func (r *modelRun) popAll(_, _ int) bool {
	r.T.Helper()
	if !r.quiet() {
		return false
	}
	r.PopPortTable()
	r.m.pop()
	return true
}

// setRow has orchagent add a port to APPL_DB: v is 1 for one with admin_status,
// 2 for one without, 0 to remove it. Whether a port whose row was refused is
// looked at again before or after that is a matter of time.
func (r *modelRun) setRow(n, v int) bool {
	r.T.Helper()
	key := switchtest.ApplPort + modelNames[n]
	if !r.quiet() || v == 0 && r.m.daemon != nil && r.m.daemon.refused[modelNames[n]] {
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

// setConfig adds a port to CONFIG_DB, with a value that depends on v, or removes
// it if v is 0.
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

// foreign writes another daemon's field to a row of STATE_DB.
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

// steal removes a row of STATE_DB, or one of its fields if v is 1.
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

// jam puts a string where a row belongs; a steal ends that.
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

// setFlag sets or unsets SONiC's warm restart flag, of the system (n is 0) or of
// swss.
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

// spoilLogger removes the LOGGER row, or leaves half of it.
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

// fault notes that the daemon has to notice something.
func (r *modelRun) fault(reason string) {
	r.m.databaseDisconnected()
	r.revive = nil
	if r.d != nil && !r.waiting {
		r.faults[reason]++
	}
}

// lost notes that the daemon has to notice the loss of its connection. It need
// not notice each, nor the flush of a server that it no longer listens to.
func (r *modelRun) lost() {
	if r.faults["database_flushed"] > 0 {
		r.excused["database_flushed"] = true
	}
	delete(r.faults, "database_flushed")
	delete(r.faults, "database_back")
	r.fault("database_back")
}

// flushed notes that a database was emptied.
func (r *modelRun) flushed() {
	if r.faults["database_back"] > 0 {
		r.m.databaseDisconnected()
		r.excused["database_flushed"] = true
		return
	}
	r.fault("database_flushed")
}

// flush empties APPL_DB, STATE_DB, both or everything, by v.
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
	// APPL_DB first: else the news of the one could find the ports of the other.
	for i, name := range []string{"APPL_DB", "STATE_DB"} {
		if v == i || v == 2 {
			r.flushed()
			r.Do(name, "FLUSHDB")
			clear(r.m.db[name])
		}
	}
	return r.own()
}

// save has the server write what a restart of it will bring back.
func (r *modelRun) save(_, _ int) bool {
	r.T.Helper()
	if r.redis == nil || !r.quiet() {
		return false
	}
	r.Do("APPL_DB", "SAVE")
	r.saved = r.m.cloneDB()
	return true
}

// killServer kills the server, also one that is stopped.
func (r *modelRun) killServer(_, _ int) bool {
	r.T.Helper()
	if r.redis == nil || r.down {
		return false
	}
	r.quiet()
	r.CloseConns()
	r.redis.Stop()
	r.rows, r.heard = nil, 0
	r.down, r.paused = true, false
	r.lost()
	return true
}

// back starts the server again with what it saved last, or empty.
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

// Pause stops the server: it keeps its connections and answers nothing.
func (r *modelRun) pause(_, _ int) bool {
	r.T.Helper()
	if r.redis == nil || !r.quiet() {
		return false
	}
	r.redis.Pause()
	r.paused = true
	return true
}

// unpause lets the server go on, if v is 1 after the daemon has lost patience.
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

// mayHaveLost: the daemon may have had no answer for too long, or not.
func (r *modelRun) mayHaveLost() {
	if r.d == nil {
		return
	}
	r.excused["database_back"] = true
	if r.faults["database_back"]+r.faults["database_flushed"] == 0 && r.revive == nil {
		r.revive = maps.Clone(r.m.daemon.revive)
	}
	r.m.databaseDisconnected()
}

// stall has the server answer nobody for v milliseconds.
func (r *modelRun) stall(_, v int) bool {
	r.T.Helper()
	if r.redis == nil || !r.quiet() {
		return false
	}
	r.Do("APPL_DB", "CLIENT", "PAUSE", strconv.Itoa(v))
	r.mayHaveLost()
	return true
}

// cut closes the daemon's connections: those that carry data, or those that
// listen.
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

func (r *modelRun) flushScripts(_, _ int) bool {
	r.T.Helper()
	if !r.quiet() {
		return false
	}
	r.Do("APPL_DB", "SCRIPT", "FLUSH")
	return true
}
