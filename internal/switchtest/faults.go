package switchtest

import "time"

// ChangeLinks makes one change of each kind: it deletes port 0, deletes and recreates port 1,
// brings down port 2, removes the carrier of port 3, and changes the MTU of port 4.
func (sw *Switch) ChangeLinks() {
	sw.T.Helper()
	sw.NoError("delete", sw.Links.Delete(PortName(0)))
	sw.NoError("delete", sw.Links.Delete(PortName(1)))
	sw.AddPort(PortName(1))
	sw.NoError("set down", sw.Links.SetUp(PortName(2), false))
	sw.NoError("set the peer down", sw.Links.SetUp(PeerName(PortName(3)), false))
	sw.NoError("set MTU", sw.Links.SetMTU(PortName(4), 1400))
}

// FaultDuration is how long ChangeLinksDuring keeps a fault active. It gives the daemon time to
// notice the fault, reconnect, and notice it again.
const FaultDuration = 300 * time.Millisecond

// ChangeLinksDuring changes links between the calls of begin and end, which start and stop a fault,
// and checks that the daemon recovers. what is the name of the fault.
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

// RestartRedis saves and kills the server, calls meanwhile, and restarts the server with the saved
// data. The databases listed in without are empty after the restart.
func (sw *Switch) RestartRedis(r *RedisServer, meanwhile func(), without ...string) {
	sw.T.Helper()
	sw.Do("APPL_DB", "SAVE")
	r.Stop()
	sw.CloseConns()
	meanwhile()
	if len(without) > 0 {
		// A second server writes the dump file that the first will load.
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

// CheckAfterFault runs the checks that apply after every fault: CheckAlive and CheckSelfReport. may
// lists the health reasons that may remain.
func (sw *Switch) CheckAfterFault(d *Daemon, may ...string) {
	sw.T.Helper()
	sw.CheckAlive(d)
	sw.CheckSelfReport(d, may...)
}

// CheckAlive checks that the daemon is running and has not written the ports to APPL_DB a second
// time.
func (sw *Switch) CheckAlive(d *Daemon) {
	sw.T.Helper()
	if !d.Alive() {
		sw.T.Fatalf("the daemon has ended: %v", d.Cmd.ProcessState)
	}
	if pending := sw.SetMembers("APPL_DB", KeySet); len(pending) > 0 {
		sw.T.Errorf("port rows were written a second time: %q", pending)
	}
}
