package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/test/kubecluster/simnode"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	controllermanageroptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	scheduleroptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// errEnded is what a component returns that stopped although nobody asked it to.
var errEnded = errors.New("ended")

// controlPlane describes one cluster, which is one process: kube-controller-manager registers names process-wide and
// cannot run twice in one.
type controlPlane struct {
	name  string
	dir   string // certificates and kubeconfigs, see writeIdentity
	port  int    // API server; port+1 is kube-controller-manager's, port+2 kube-scheduler's
	etcd  string // URL
	nodes int    // simulated nodes
}

func runClusterCommand(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("cluster", flag.ContinueOnError)
	var c controlPlane
	fs.StringVar(&c.name, "name", "", "cluster's name and its prefix in etcd")
	fs.StringVar(&c.dir, "dir", "", "folder of certificates and kubeconfigs")
	fs.IntVar(&c.port, "port", 0, "API server's port; the next two are used as well")
	fs.StringVar(&c.etcd, "etcd", "", "URL of etcd")
	fs.IntVar(&c.nodes, "nodes", 1, "simulated nodes")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	endWithParent(cancel)
	return c.run(ctx)
}

// run boots the components and returns when ctx ends (nil) or when the first of them ends (its error).
func (c controlPlane) run(ctx context.Context) error {
	errs := make(chan error, 4)
	start := func(part string, f func(context.Context) error) {
		go func() {
			err := f(ctx)
			if err == nil {
				err = errEnded
			}
			errs <- fmt.Errorf("%s: %s: %w", c.name, part, err)
		}()
	}
	start("kube-apiserver", c.runAPIServer)
	cfg, err := restConfig(c.path("kubeconfig"))
	if err != nil {
		return err
	}
	serving := make(chan error, 1)
	go func() { serving <- waitServing(ctx, cfg, time.Minute) }()
	select {
	case err := <-errs:
		return err
	case err := <-serving:
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
	start("kube-controller-manager", c.runControllerManager)
	start("kube-scheduler", c.runScheduler)
	start("simulated nodes", func(ctx context.Context) error { return simnode.New(cfg, c.name, c.nodes).Run(ctx) })
	select {
	case <-ctx.Done():
		return nil
	case err := <-errs:
		return err
	}
}

func (c controlPlane) path(name string) string { return filepath.Join(c.dir, name) }

// The run functions below are the upstream commands without their process-wide parts (signal handler, logging set-up).

func (c controlPlane) runAPIServer(ctx context.Context) error {
	o := apiserveroptions.NewServerRunOptions()
	err := parseFlags("kube-apiserver", o.Flags(), []string{
		"--etcd-servers=" + c.etcd,
		"--etcd-prefix=/" + c.name,
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", c.port),
		"--tls-cert-file=" + c.path("apiserver.crt"),
		"--tls-private-key-file=" + c.path("apiserver.key"),
		"--client-ca-file=" + c.path("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.path("sa.key"),
		"--service-account-signing-key-file=" + c.path("sa.key"),
		"--service-cluster-ip-range=10.96.0.0/16",
		"--requestheader-client-ca-file=" + c.path("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + c.path("front-proxy-client.crt"),
		"--proxy-client-key-file=" + c.path("front-proxy-client.key"),
		"--endpoint-reconciler-type=none", // a loopback address is refused in Endpoints
		"--profiling=false",
	})
	if err != nil {
		return err
	}
	if err := o.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return fmt.Errorf("set feature gates: %w", err)
	}
	completed, err := o.Complete(ctx)
	if err != nil {
		return fmt.Errorf("complete options: %w", err)
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return fmt.Errorf("validate options: %w", utilerrors.NewAggregate(errs))
	}
	return apiserver.Run(ctx, completed)
}

// leftOut are controllers without a use where no volume, cloud or node network exists.
func leftOut() []string {
	return []string{
		"nodeipam", "node-route-controller", "cloud-node-lifecycle-controller", "service-lb-controller",
		"persistentvolume-binder-controller", "persistentvolume-attach-detach-controller",
		"persistentvolume-expander-controller", "ephemeral-volume-controller", "bootstrap-signer-controller",
		"token-cleaner-controller", "ttl-controller", "storage-version-migrator-controller",
	}
}

func (c controlPlane) runControllerManager(ctx context.Context) error {
	o, err := controllermanageroptions.NewKubeControllerManagerOptions()
	if err != nil {
		return fmt.Errorf("default options: %w", err)
	}
	known, disabled, aliases := controllermanager.KnownControllers(), controllermanager.ControllersDisabledByDefault(), controllermanager.ControllerAliases()
	sets := o.Flags(known, disabled, aliases)
	o.ParsedFlags = &sets
	kubeconfig := c.path("controller-manager.kubeconfig")
	err = parseFlags("kube-controller-manager", sets, []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", c.port+1),
		"--cert-dir=" + c.path("controller-manager-certs"),
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + c.path("sa.key"),
		"--root-ca-file=" + c.path("ca.crt"),
		"--cluster-signing-cert-file=" + c.path("ca.crt"),
		"--cluster-signing-key-file=" + c.path("ca.key"),
		"--kube-api-qps=200", "--kube-api-burst=400",
		"--profiling=false",
		"--controllers=*,-" + strings.Join(leftOut(), ",-"),
	})
	if err != nil {
		return err
	}
	cfg, err := o.Config(ctx, known, disabled, aliases)
	if err != nil {
		return fmt.Errorf("complete options: %w", err)
	}
	return controllermanager.Run(ctx, cfg.Complete())
}

func (c controlPlane) runScheduler(ctx context.Context) error {
	o := scheduleroptions.NewOptions()
	kubeconfig := c.path("scheduler.kubeconfig")
	err := parseFlags("kube-scheduler", *o.Flags, []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", c.port+2),
		"--cert-dir=" + c.path("scheduler-certs"),
		"--leader-elect=false",
		"--profiling=false",
	})
	if err != nil {
		return err
	}
	cfg, s, err := scheduler.Setup(ctx, o)
	if err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	return scheduler.Run(ctx, cfg, s)
}

func parseFlags(name string, sets cliflag.NamedFlagSets, args []string) error {
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	for _, set := range sets.FlagSets {
		fs.AddFlagSet(set)
	}
	if err := fs.Parse(args); err != nil {
		return fmt.Errorf("parse flags: %w", err)
	}
	return nil
}

// restConfig reads a kubeconfig for clients that must not be slowed down by client-side rate limits.
func restConfig(kubeconfig string) (*rest.Config, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	cfg.QPS = -1
	return cfg, nil
}

// waitServing waits until the API server's /readyz says ok.
func waitServing(ctx context.Context, cfg *rest.Config, limit time.Duration) error {
	return poll(ctx, cfg, limit, func(ctx context.Context, c kubernetes.Interface) error {
		b, err := c.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err == nil && string(b) != "ok" {
			err = fmt.Errorf("readyz: %s", b)
		}
		return err
	})
}

// waitUsable waits until a pod could be created and would be scheduled: the API server is ready, the default service
// account exists and all the simulated nodes take pods.
func waitUsable(ctx context.Context, cfg *rest.Config, nodes int, limit time.Duration) error {
	if err := waitServing(ctx, cfg, limit); err != nil {
		return err
	}
	return poll(ctx, cfg, limit, func(ctx context.Context, c kubernetes.Interface) error {
		if _, err := c.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return fmt.Errorf("default service account: %w", err)
		}
		list, err := c.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		free := 0
		for _, n := range list.Items {
			if len(n.Spec.Taints) == 0 {
				free++
			}
		}
		if free < nodes {
			return fmt.Errorf("%d of %d nodes ready", free, nodes)
		}
		return nil
	})
}

// poll repeats check until it returns nil, ctx ends or limit has passed.
func poll(ctx context.Context, cfg *rest.Config, limit time.Duration, check func(context.Context, kubernetes.Interface) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	short := rest.CopyConfig(cfg)
	short.Timeout = 2 * time.Second
	client, err := kubernetes.NewForConfig(short)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	for {
		err := check(ctx, client)
		if err == nil {
			return nil
		}
		if apierrors.IsUnauthorized(err) {
			return fmt.Errorf("the API server refuses the kubeconfig, does another cluster use its port? %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready in %s: %w", limit, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
