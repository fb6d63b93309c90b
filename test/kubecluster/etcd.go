package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// runEtcdCommand runs one etcd member, shared by all the clusters of an "up", until ctx ends.
func runEtcdCommand(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("etcd", flag.ContinueOnError)
	dir := fs.String("dir", "", "data folder")
	port := fs.Int("port", 0, "client port; the next is the peer port")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	endWithParent(cancel)

	e, err := embed.StartEtcd(etcdConfig(*dir, *port))
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	defer e.Close()
	select {
	case <-e.Server.ReadyNotify():
	case err := <-e.Err():
		return fmt.Errorf("boot etcd: %w", err)
	case <-ctx.Done():
		return nil
	case <-time.After(30 * time.Second):
		return errors.New("boot etcd: not ready in 30 s")
	}
	select {
	case err := <-e.Err():
		return fmt.Errorf("run etcd: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// etcdConfig is for test data: writes are not synced to disk, so they survive the end of a process, not of the machine.
func etcdConfig(dir string, port int) *embed.Config {
	cfg := embed.NewConfig()
	cfg.Dir = dir
	cfg.LogLevel = "error"
	cfg.UnsafeNoFsync = true
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = "periodic", "10m"
	local := func(port int) []url.URL {
		return []url.URL{{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}}
	}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = local(port), local(port)
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = local(port+1), local(port+1)
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	return cfg
}
