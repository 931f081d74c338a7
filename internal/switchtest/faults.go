package switchtest

import "time"

// Disturb changes links while nobody can be told: every kind of change.
func (sw *Switch) ChangeLinks() {
	sw.T.Helper()
	sw.NoError("delete", sw.Links.Delete(PortName(0)))
	sw.NoError("delete", sw.Links.Delete(PortName(1)))
	sw.AddPort(PortName(1))
	sw.NoError("set down", sw.Links.SetUp(PortName(2), false))
	sw.NoError("set the peer down", sw.Links.SetUp(PeerName(PortName(3)), false))
	sw.NoError("set MTU", sw.Links.SetMTU(PortName(4), 1400))
}

// FaultLasts is how long a fault is in force: for the daemon to run into it, to
// reconnect, and to run into it again.
const FaultDuration = 300 * time.Millisecond

// Through changes links while a fault is in force, and checks the recovery.
func (sw *Switch) ChangeLinksDuring(d *Daemon, what string, begin, end func()) {
	sw.T.Helper()
	stop := sw.Churn()
	begin()
	sw.NoError("set down", sw.Links.SetUp(PortName(2), false))
	sw.NoError("delete", sw.Links.Delete(PortName(1)))
	time.Sleep(FaultDuration)
	sw.AddPort(PortName(1))
	sw.NoError("set up", sw.Links.SetUp(PortName(2), true))
	stop()
	end()
	sw.AwaitRecovery(what)
	sw.CheckAlive(d)
}

// Restarted kills the server, which comes back with what it had, but for the
// named databases; meanwhile is what happens in between.
func (sw *Switch) RestartRedis(r *RedisServer, meanwhile func(), without ...string) {
	sw.T.Helper()
	sw.Do("APPL_DB", "SAVE")
	r.Stop()
	sw.CloseConns()
	meanwhile()
	if len(without) > 0 {
		// A second server makes the file that the first will find.
		aux, port := &RedisServer{}, sw.Databases[without[0]].Port+1
		sw.NoError("start a second server", aux.Start(Database{Socket: RedisDir + "/second.sock", Port: port}))
		for _, name := range without {
			sw.Databases["second"] = Database{Number: sw.Databases[name].Number, Port: port}
			sw.Do("second", "FLUSHDB")
			sw.CloseConns()
		}
		sw.Do("second", "SAVE")
		sw.CloseConns()
		aux.Stop()
	}
	sw.NoError("restart", r.Restart())
}

// Unharmed checks what must hold after each fault. May are the reasons of health
// that may outlast it.
func (sw *Switch) CheckAfterFault(d *Daemon, may ...string) {
	sw.T.Helper()
	sw.CheckAlive(d)
	sw.CheckSelfReport(d, may...)
}

// Survived checks that the daemon lives and has told orchagent nothing again.
func (sw *Switch) CheckAlive(d *Daemon) {
	sw.T.Helper()
	if !d.Alive() {
		sw.T.Fatalf("the daemon has ended: %v", d.Cmd.ProcessState)
	}
	if pending := sw.SetMembers("APPL_DB", KeySet); len(pending) > 0 {
		sw.T.Errorf("produced a second time: %q", pending)
	}
}
