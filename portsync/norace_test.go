//go:build !race

package portsync

const raceEnabled = false
