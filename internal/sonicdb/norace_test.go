//go:build !race

package sonicdb

const raceEnabled = false // see race_test.go
