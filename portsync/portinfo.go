package portsync

import (
	"unicode/utf8"

	"portsyncd/internal/sonicdb"
)

// PortInfo holds the descriptive fields of a port's row in the CONFIG_DB table PORT. The values are
// not validated and may contain any bytes. Values longer than maxPortInfo bytes are truncated.
type PortInfo struct {
	Alias       string `json:"alias,omitempty"`
	Description string `json:"description,omitempty"`
	Speed       string `json:"speed,omitempty"` // in Mb/s
	Lanes       string `json:"lanes,omitempty"` // separated by commas
	PanelIndex  string `json:"index,omitempty"` // number of the front-panel port; not the ifindex
}

// maxPortInfo is the maximum length of a value in bytes. SONiC's YANG model allows 255 bytes for a
// description and less for the other fields.
const maxPortInfo = 255

// infoLabels are the names of the fields, which are also the labels of portsyncd_port_info.
var infoLabels = []string{"alias", "description", "speed", "lanes", "index"}

// values returns pointers to the fields of i, in the order of infoLabels.
func (i *PortInfo) values() []*string {
	return []*string{&i.Alias, &i.Description, &i.Speed, &i.Lanes, &i.PanelIndex}
}

// infoFields are the fields that the follower reads for a PortInfo: each name without and with the
// mark of a list. newPortInfo takes the values in this order.
var infoFields = func() (fields []string) {
	for _, name := range infoLabels {
		fields = append(fields, name, name+"@")
	}
	return fields
}()

// newPortInfo returns a PortInfo with the values in the reply to an HMGET of infoFields.
func newPortInfo(reply []sonicdb.Reply) *PortInfo {
	i := new(PortInfo)
	values := i.values()
	for n := range reply {
		if reply[n].Kind == sonicdb.BulkString && n/2 < len(values) {
			*values[n/2] = shortened(string(reply[n].Str))
		}
	}
	return i
}

// shortened returns s, truncated to maxPortInfo bytes. A truncated string ends with an ellipsis.
func shortened(s string) string {
	const mark = "…"
	if len(s) <= maxPortInfo {
		return s
	}
	end := maxPortInfo - len(mark)
	for back := 0; back < utf8.UTFMax-1 && !utf8.RuneStart(s[end]); back++ {
		end--
	}
	return s[:end] + mark
}

// Describe sets the info of the named ports and marks ports whose info has changed for publication.
// infos must not be modified afterwards.
func (s *State) Describe(names []string, infos []*PortInfo) {
	for i, name := range names {
		if p := s.ports[name]; p != nil && p.Configured && (p.info == nil || *p.info != *infos[i]) {
			p.info = infos[i]
			s.touch(p)
		}
	}
}
