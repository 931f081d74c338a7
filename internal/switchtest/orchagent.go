package switchtest

import (
	"strconv"
	"time"
)

// Configure writes CONFIG_DB's rows for some ports.
func (sw *Switch) ConfigurePorts(ports int) {
	sw.T.Helper()
	for n := range ports {
		sw.Do("CONFIG_DB", "HSET", "PORT|"+PortName(n), "lanes", strconv.Itoa(n), "alias", "etp"+strconv.Itoa(n),
			"speed", "100000", "mtu", "9100", "admin_status", "up")
	}
}

// Pop does what orchagent's consumer does to all that is pending in PORT_TABLE
// (PROTOCOL.md section 4), each row in one atomic unit, and returns how many
// rows there were.
func (sw *Switch) PopPortTable() int {
	sw.T.Helper()
	const a = "APPL_DB"
	keys := sw.SetMembers(a, "PORT_TABLE_KEY_SET")
	deleted := make(map[string]bool)
	for _, k := range sw.SetMembers(a, "PORT_TABLE_DEL_SET") {
		deleted[k] = true
	}
	for _, k := range keys {
		pending := sw.Row(a, "_PORT_TABLE:"+k)
		sw.Do(a, "MULTI")
		sw.Do(a, "SREM", "PORT_TABLE_KEY_SET", k)
		if deleted[k] {
			sw.Do(a, "SREM", "PORT_TABLE_DEL_SET", k)
			sw.Do(a, "DEL", "PORT_TABLE:"+k)
		}
		if len(pending) > 0 {
			hset := []string{"HSET", "PORT_TABLE:" + k}
			for f, v := range pending {
				hset = append(hset, f, v)
			}
			sw.Do(a, hset...)
		}
		sw.Do(a, "DEL", "_PORT_TABLE:"+k)
		sw.Do(a, "EXEC")
	}
	return len(keys)
}

// AwaitInitDone waits until PortInitDone is handed over, and pops it.
func (sw *Switch) AwaitInitDone() {
	sw.T.Helper()
	Eventually(sw.T, Timeout, func() string {
		sw.PopPortTable()
		if !sw.Exists("APPL_DB", "PORT_TABLE:PortInitDone") {
			return "no PortInitDone"
		}
		return ""
	})
}

// Plug makes the interfaces of configured ports, and waits until all is
// reported, PortInitDone included.
func (sw *Switch) AddInterfaces(ports int) {
	sw.T.Helper()
	sw.PopPortTable()
	for n := range ports {
		sw.AddPort(PortName(n))
	}
	sw.AwaitInitDone()
	sw.AwaitInSync(Timeout * time.Duration(1+ports/64))
}

// BringUp starts the daemon on a configuration of some ports and plays
// orchagent until all is up and reported, PortInitDone included.
func (sw *Switch) BringUp(ports int) *Daemon {
	sw.T.Helper()
	sw.ConfigurePorts(ports)
	d := sw.StartReady()
	sw.PopPortTable()
	for n := range ports {
		sw.AddPort(PortName(n))
	}
	sw.AwaitInitDone()
	sw.AwaitInSync(Timeout)
	return d
}

// WarmPorts is how many ports a switch in these tests has.
const FewPorts = 3

// FaultPorts is how many ports a switch in these tests has.
const ManyPorts = 8
