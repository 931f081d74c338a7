package config

import (
	"maps"
	"path"
	"strings"
)

const (
	// specifiedDir is the directory of the default paths in the specification.
	specifiedDir = "/var/lib/sonic/portsyncd"

	// warmbootDir is a host directory that SONiC mounts into the swss container (sonic-buildimage,
	// files/build_templates/docker_image_ctl.j2). Unlike the container's /var/lib, it persists
	// across reboots and replacement of the container or image.
	warmbootDir = "/var/warmboot"

	stateFileName = "port_state.json"
	storageName   = "metrics"
)

// StateDir returns the default directory for persistent state and the reason for the choice. It is
// /var/warmboot/portsyncd if /var/warmboot exists, otherwise the first directory in
// $STATE_DIRECTORY (systemd.exec(5)), otherwise the directory in the specification, for which the
// reason is "". exists reports whether a directory exists.
func StateDir(getenv func(string) string, exists func(string) bool) (dir, why string) {
	if exists(warmbootDir) {
		return path.Join(warmbootDir, "portsyncd"), warmbootDir + " exists"
	}
	first, _, _ := strings.Cut(getenv("STATE_DIRECTORY"), ":")
	if isPath(first) {
		return path.Clean(first), "from STATE_DIRECTORY"
	}
	return specifiedDir, ""
}

// ResolvePaths sets WarmRestart.StateFile and Metrics.StoragePath to paths in [StateDir] unless the
// file sets them. It must be called once after Parse, Load or Default.
func (c *Config) ResolvePaths(getenv func(string) string, exists func(string) bool) {
	dir, why := StateDir(getenv, exists)
	c.origins = maps.Clone(c.origins) // do not modify copies of c
	if c.origins == nil {
		c.origins = map[string]origin{}
	}
	c.resolve("warm_restart.state_file", &c.WarmRestart.StateFile, path.Join(dir, stateFileName), why)
	c.resolve("metrics.storage_path", &c.Metrics.StoragePath, path.Join(dir, storageName), why)
}

func (c *Config) resolve(key string, field *string, value, why string) {
	if c.IsSet(key) {
		return
	}
	*field = value
	if why != "" {
		c.origins[key] = origin{text: "default (" + why + ")"}
	}
}
