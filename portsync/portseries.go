package portsync

import "portsyncd/metrics"

// portColumns are the families with one series for each port that is served.
type portColumns struct {
	group *metrics.Group

	admin, oper, mtu       metrics.IntGaugeColumn
	carrierUp, carrierDown metrics.CounterColumn
	changes                metrics.CounterColumn
	lastChange             metrics.GaugeColumn
}

func newPortColumns(set *metrics.Set) *portColumns {
	g := set.NewGroup("port")
	return &portColumns{
		group: g,
		admin: g.NewIntGauge("portsyncd_port_admin_up", "1 if the port is administratively up (IFF_UP)."),
		oper:  g.NewIntGauge("portsyncd_port_oper_up", "1 if the port has carrier and runs (IFF_RUNNING)."),
		mtu:   g.NewIntGauge("portsyncd_port_mtu_bytes", "MTU of the port's interface."),
		carrierUp: g.NewCounter("portsyncd_port_carrier_up_changes_total",
			"Times the carrier came, as the kernel counts (IFLA_CARRIER_UP_COUNT): "+
				"right even when messages were lost; starts again with the interface."),
		carrierDown: g.NewCounter("portsyncd_port_carrier_down_changes_total",
			"Times the carrier went, as the kernel counts (IFLA_CARRIER_DOWN_COUNT)."),
		changes: g.NewCounter("portsyncd_port_changes_total",
			"Writes of the port's row that changed something."),
		lastChange: g.NewGauge("portsyncd_port_last_change_timestamp_seconds",
			"When admin, oper, MTU or carrier count of the port last changed, as far as portsyncd saw."),
	}
}

// portSeries are the series of one port and what they show, to tell changes.
type portSeries struct {
	row                    *metrics.Row
	admin, oper, mtu       *metrics.IntGauge
	carrierUp, carrierDown *metrics.Counter
	changes                *metrics.Counter
	lastChange             *metrics.Gauge
}

// update shows what was acknowledged of a port, at the given time of day in
// seconds. A port that is served no more loses its series.
func (c *portColumns) update(p *Port, at float64) {
	if !p.Served {
		if p.series != nil {
			p.series.row.Remove()
			p.series = nil
		}
		return
	}
	fresh := p.series == nil
	if fresh {
		p.series = c.add(p.Name)
	}
	s := p.series
	changed := fresh || s.admin.Load() != bit(p.Admin) || s.oper.Load() != bit(p.Oper) ||
		s.mtu.Load() != int64(p.MTU) || s.carrierUp.Load() != uint64(p.CarrierUp) ||
		s.carrierDown.Load() != uint64(p.CarrierDown)
	if !changed {
		return
	}
	s.admin.Set(bit(p.Admin))
	s.oper.Set(bit(p.Oper))
	s.mtu.Set(int64(p.MTU))
	s.carrierUp.Set(uint64(p.CarrierUp))
	s.carrierDown.Set(uint64(p.CarrierDown))
	s.lastChange.Set(at)
	if !fresh {
		s.changes.Inc()
	}
}

func (c *portColumns) add(name string) *portSeries {
	r := c.group.Add(name)
	return &portSeries{
		row: r, admin: c.admin.In(r), oper: c.oper.In(r), mtu: c.mtu.In(r),
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
