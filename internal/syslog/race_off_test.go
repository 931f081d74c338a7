//go:build !race

package syslog

const raceEnabled = false // see race_on_test.go
