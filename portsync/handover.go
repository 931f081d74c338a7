package portsync

import (
	"errors"
	"slices"
	"time"

	"portsyncd/internal/syslog"
)

// handover owns the ports of CONFIG_DB and writes their configuration, PortConfigDone and
// PortInitDone for orchagent.
type handover struct {
	*base
	db         *databaseLink
	ports      []PortConfig // ports to write for orchagent, as last read from CONFIG_DB
	configured []string     // all ports that are in CONFIG_DB now, sorted
	todo       todo
	markersAt  int64 // earliest time to read the markers
	fillBy     int64 // when a CONFIG_DB with fewer ports than before counts as complete
	configDone bool  // PortConfigDone was written
	initDone   bool  // PortInitDone was written
	initLate   bool  // PortInitDone is late because ports have been pending for too long
	lateAt     int64 // when PortInitDone becomes late, or when that is logged again
}

// todo holds the writes for orchagent that are due and have not been acknowledged by Redis.
type todo struct {
	markers  bool // read the markers to find out what must be written again
	produce  bool // write the configuration and PortConfigDone
	initDone bool // write PortInitDone
}

// If CONFIG_DB has fewer ports than before, it may still be being filled and is read again after
// fillPause. After fillTimeout it counts as complete.
const (
	fillPause   = 100 * time.Millisecond
	fillTimeout = 10 * time.Second
)

// lateAfter is the time after startup at which PortInitDone is late.
const lateAfter = 60 * time.Second

func newHandover(b *base, db *databaseLink) handover { return handover{base: b, db: db, lateAt: never} }

// setPorts sets the ports that must be written for orchagent.
func (h *handover) setPorts(ports []PortConfig, started bool) {
	h.ports = ports
	names := make([]string, len(ports))
	for i := range ports {
		names[i] = ports[i].Name
	}
	slices.Sort(names)
	h.configure(names, nil, started)
}

// configure sets the sorted names of all rows in the CONFIG_DB table PORT. replaced lists the rows
// that were deleted and added again. If started is true, the interfaces of new rows are expected to
// be created.
func (h *handover) configure(names, replaced []string, started bool) {
	was := h.configured
	h.configured = names
	h.state.Configure(names)
	if !started {
		return
	}
	added, removed := without(names, was), without(was, names)
	h.expect(added)
	h.expect(replaced)
	if len(added)+len(removed) > 0 {
		h.Log.Log(h.ctx, syslog.LevelNotice, "ports in CONFIG_DB changed", "configured", len(names),
			"added", nameList(added), "removed", nameList(removed))
	}
}

// expect sets the time by which orchagent must have created the interfaces of the named ports:
// LateAfter from now.
func (h *handover) expect(names []string) {
	now := max(h.clock.now(), 1)
	for _, name := range names {
		p := h.state.port([]byte(name))
		p.expectedBy = now + int64(h.LateAfter)
		if !p.InitPending {
			p.pendingSince = now
		}
	}
}

// wantMarkers schedules a read of PortConfigDone and PortInitDone after an event that may have
// deleted them from APPL_DB.
func (h *handover) wantMarkers(now int64) {
	h.todo.markers = true
	h.markersAt, h.fillBy = 0, now+int64(fillTimeout)
}

// requestProduce schedules a write of the port configuration to APPL_DB.
func (h *handover) requestProduce() { h.todo.produce = true }

// requestInitDone schedules a write of PortInitDone to APPL_DB.
func (h *handover) requestInitDone() { h.todo.initDone = true }

// markersDue reports whether a scheduled read of the markers is due.
func (h *handover) markersDue() bool { return h.todo.markers && h.clock.now() >= h.markersAt }

// checkMarkers reads the markers and decides what must be written again. It returns the ports to
// write again.
func (h *handover) checkMarkers(started bool) (again []PortConfig, err error) {
	markers, err := h.db.session.store.Markers()
	if err != nil {
		return nil, err
	}
	if !markers.ConfigDone {
		ports, bad, err := h.db.session.store.Ports()
		now := h.clock.now()
		switch {
		case errors.Is(err, errConfigDown) && started:
			h.markersAt = now + int64(configPause)
			return nil, nil
		case err != nil:
			return nil, err
		}
		for _, err := range bad {
			h.Log.Error("ignoring invalid row in CONFIG_DB table PORT", "error", err)
		}
		switch {
		case len(ports) == 0: // CONFIG_DB was flushed as well; keep the ports until CONFIG_DB is filled
		case len(ports) < len(h.ports) && now < h.fillBy:
			h.markersAt = now + int64(fillPause)
			return nil, nil
		default:
			h.setPorts(ports, started)
		}
		h.todo.produce, again = true, h.ports
	}
	h.todo.markers = false
	if h.state.InitDone() && !markers.InitDone {
		h.todo.initDone = true
	}
	return again, nil
}

// produce writes the port configuration to APPL_DB for orchagent. Rows that Redis refuses
// permanently are logged and do not delay other rows.
func (h *handover) produce() error {
	skipped, err := h.db.session.store.Produce(h.ports)
	if err != nil {
		return err
	}
	if skipped != nil {
		h.Log.Error("cannot write some port rows to APPL_DB", "error", skipped)
	}
	h.todo.produce, h.configDone = false, true
	h.Log.Log(h.ctx, syslog.LevelNotice, "wrote "+portConfigDone, "count", len(h.ports))
	return nil
}

// produceInitDone writes PortInitDone for orchagent.
func (h *handover) produceInitDone() error {
	if err := h.db.session.store.ProduceInitDone(); err != nil {
		return err
	}
	h.todo.initDone, h.initDone = false, true
	h.lateAt = never
	h.logger.put(lineInitDone, "", 0, h.clock.now())
	return nil
}

// expectInitDone sets the time at which PortInitDone becomes late.
func (h *handover) expectInitDone(now int64) { h.lateAt = now + int64(h.LateAfter) }

// late logs the ports that delay PortInitDone.
func (h *handover) late(now int64) {
	h.lateAt = never
	if h.state.InitDone() {
		return
	}
	h.expectInitDone(now)
	h.initLate = true
	h.Log.Log(h.ctx, syslog.LevelNotice, "PortInitDone delayed; still waiting for port interfaces",
		"count", h.state.InitPending(), "ports", h.state.initPendingNames(mostNames))
}
