package portsync

import "bytes"

// Prefixes of the names of tracked interfaces. They are case-sensitive. Interfaces with other names
// are ignored.
const (
	frontPanelPrefix = "Ethernet"
	lagPrefix        = "PortChannel"
)

// IsFrontPanel reports whether name is the name of a front-panel port.
func IsFrontPanel(name []byte) bool { return bytes.HasPrefix(name, []byte(frontPanelPrefix)) }

// watched implements the name test of PROTOCOL.md section 8.
func watched(name []byte) bool { return IsFrontPanel(name) || bytes.HasPrefix(name, []byte(lagPrefix)) }
