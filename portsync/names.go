package portsync

import "bytes"

// Prefixes of the interface names that are followed, case-sensitive. An interface
// with another name is ignored.
const (
	frontPanelPrefix = "Ethernet"
	lagPrefix        = "PortChannel"
)

// IsFrontPanel reports whether name is that of a front-panel port.
func IsFrontPanel(name []byte) bool { return bytes.HasPrefix(name, []byte(frontPanelPrefix)) }

// watched is the name test of PROTOCOL.md section 8.
func watched(name []byte) bool { return IsFrontPanel(name) || bytes.HasPrefix(name, []byte(lagPrefix)) }
