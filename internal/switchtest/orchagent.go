package switchtest

import (
	"strconv"
	"time"
)

// ConfigurePorts writes the CONFIG_DB rows of the first ports.
func (sw *Switch) ConfigurePorts(ports int) {
	sw.T.Helper()
	for n := range ports {
		sw.Do("CONFIG_DB", "HSET", "PORT|"+PortName(n), "lanes", strconv.Itoa(n), "alias", "etp"+strconv.Itoa(n),
			"speed", "100000", "mtu", "9100", "admin_status", "up")
	}
}

// PopPortTable pops the pending rows of PORT_TABLE like orchagent (docs/PROTOCOL.md section 4), in
// one transaction for each row. It returns the number of rows.
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

// AwaitInitDone pops rows of PORT_TABLE until APPL_DB contains PortInitDone.
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

// AddInterfaces pops the rows of PORT_TABLE, creates the interfaces of the first ports and brings
// them up. It waits until APPL_DB contains PortInitDone and STATE_DB matches the kernel.
func (sw *Switch) AddInterfaces(ports int) {
	sw.T.Helper()
	sw.PopPortTable()
	for n := range ports {
		sw.AddPort(PortName(n))
	}
	sw.AwaitInitDone()
	sw.AwaitInSync(Timeout * time.Duration(1+ports/64))
}

// BringUp configures ports, starts the daemon and adds the ports' interfaces, as AddInterfaces
// does.
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

// FewPorts is the number of ports for tests that need only a few.
const FewPorts = 3

// ManyPorts is the number of ports for tests that change each port in a different way, as ChangeLinks
// does.
const ManyPorts = 8
