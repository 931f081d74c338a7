package config

import (
	"maps"
	"path"
	"strings"
)

const (
	// specifiedDir holds the paths of the specification.
	specifiedDir = "/var/lib/sonic/portsyncd"

	// warmbootDir is a host directory that SONiC mounts into the swss container;
	// it outlives the container, a reboot and a change of image (sonic-buildimage,
	// files/build_templates/docker_image_ctl.j2). The container's own /var/lib
	// does not.
	warmbootDir = "/var/warmboot"

	stateFileName = "port_state.json"
	storageName   = "metrics"
)

// StateDir returns the directory for what must survive a restart where the file
// names none, and why: a directory of ours in /var/warmboot if that exists, else
// the first of systemd's $STATE_DIRECTORY (systemd.exec(5); several are joined by
// colons), else the specification's. exists reports whether a directory is there.
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

// ResolvePaths gives WarmRestart.StateFile and Metrics.StoragePath their places
// under [StateDir] where the file names none, and notes the reason as their
// origin. Call it once after Parse, Load or Default.
func (c *Config) ResolvePaths(getenv func(string) string, exists func(string) bool) {
	dir, why := StateDir(getenv, exists)
	c.origins = maps.Clone(c.origins) // copies of c keep theirs
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
