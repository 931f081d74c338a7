package portsync

import "portsyncd/metrics"

// portColumns are the families with one series for each port that is shown.
type portColumns struct {
	group *metrics.Group

	present, written       metrics.IntGaugeColumn
	admin, oper, mtu       metrics.IntGaugeColumn
	carrierUp, carrierDown metrics.CounterColumn
	changes                metrics.CounterColumn
	lastChange             metrics.GaugeColumn
}

func newPortColumns(set *metrics.Set) *portColumns {
	g := set.NewGroup("port")
	return &portColumns{
		group: g,
		present: g.NewIntGauge("portsyncd_port_present",
			"1 if the port's interface exists and its row is in STATE_DB."),
		written: g.NewIntGauge("portsyncd_port_written",
			"1 if STATE_DB has acknowledged the port's current state, 0 while a write or deletion is outstanding."),
		admin: g.NewIntGauge("portsyncd_port_admin_up",
			"1 if the port is administratively up (IFF_UP), 0 if not or if it has no interface."),
		oper: g.NewIntGauge("portsyncd_port_oper_up",
			"1 if the port has carrier and runs (IFF_RUNNING), 0 if not or if it has no interface."),
		mtu: g.NewIntGauge("portsyncd_port_mtu_bytes", "MTU of the port's interface, 0 if it has none."),
		carrierUp: g.NewCounter("portsyncd_port_carrier_up_changes_total",
			"Link-up transitions of the port's last interface, counted by the kernel (IFLA_CARRIER_UP_COUNT), lost messages included."),
		carrierDown: g.NewCounter("portsyncd_port_carrier_down_changes_total",
			"Link-down transitions of the port's last interface, counted by the kernel (IFLA_CARRIER_DOWN_COUNT), lost messages included."),
		changes: g.NewCounter("portsyncd_port_changes_total",
			"Writes of the port's STATE_DB row that changed a field or created the row."),
		lastChange: g.NewGauge("portsyncd_port_last_change_timestamp_seconds",
			"When a link message last changed the admin or oper state, MTU or carrier count of the port, or created or deleted its interface."),
	}
}

// portSeries are the series of one port.
type portSeries struct {
	row                    *metrics.Row
	present, written       *metrics.IntGauge
	admin, oper, mtu       *metrics.IntGauge
	carrierUp, carrierDown *metrics.Counter
	changes                *metrics.Counter
	lastChange             *metrics.Gauge
}

// put stores the facts of p; changedAt is p.ChangedAt in seconds since 1970.
func (s *portSeries) put(p *Port, changedAt float64) {
	there := bit(p.Index != 0)
	s.present.Set(bit(p.state() == PortPresent))
	s.written.Set(bit(p.written()))
	s.admin.Set(there * bit(p.Admin))
	s.oper.Set(there * bit(p.Oper))
	s.mtu.Set(there * int64(p.MTU))
	s.carrierUp.Set(uint64(p.CarrierUp))
	s.carrierDown.Set(uint64(p.CarrierDown))
	s.changes.Set(p.changes)
	s.lastChange.Set(changedAt)
}

func (c *portColumns) add(name string) *portSeries {
	r := c.group.Add(name)
	return &portSeries{
		row: r, present: c.present.In(r), written: c.written.In(r),
		admin: c.admin.In(r), oper: c.oper.In(r), mtu: c.mtu.In(r),
		carrierUp: c.carrierUp.In(r), carrierDown: c.carrierDown.In(r),
		changes: c.changes.In(r), lastChange: c.lastChange.In(r),
	}
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
